import {VmctlError} from '../model/errors.ts'
import type {VmSpec} from '../model/vm.ts'

/** Whether vmctl can log in: it has made the credentials, or was told which to use. */
export const canLogIn = (spec: VmSpec): boolean =>
  spec.network.type !== 'none' &&
  (spec.ssh !== undefined || (spec.cloudInit !== undefined && (spec.cloudInit.userData === undefined || spec.cloudInit.merge === true)))

/** @throws VmctlError `vmctl::provision::no_ssh` for a VM whose steps could not be run */
export const requireLogin = (spec: VmSpec): void => {
  if (spec.network.type === 'none') {
    throw new VmctlError('vmctl::provision::no_ssh', `${spec.name} has provisioners but no network.`, {
      help: 'Give it `network "user"`, or remove its provision steps.',
    })
  }
  // A Dockerfile brings steps without a word about log-ins, which vmctl then makes possible itself.
  if (!spec.ssh && !(spec.dockerfile && canLogIn(spec)))
    throw new VmctlError('vmctl::provision::no_ssh', `${spec.name} has provisioners but no ssh block.`)
}
