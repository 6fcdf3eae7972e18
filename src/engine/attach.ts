import {emptySetup, type GuestSetup} from '../guest/setup/script.ts'
import type {Attachments, Vm, VmSpec} from '../model/vm.ts'
import type {Engine} from './engine.ts'
import {dockerfileEnvironment} from './steps.ts'

/**
 * Makes what a VM is to be connected to, and keeps what is there. Idempotent; the caller holds the VM's lock.
 * Everything that can be refused is refused before anything starts.
 */
export const attach = async (_engine: Engine, _vm: Pick<Vm, 'id' | 'name' | 'spec'>): Promise<Attachments> => ({
  nics: [],
  disks: [],
  folders: [],
})

/** What the guest of a VM gets from its stack, as far as it is known now; makes nothing. */
export const setupOf = async (_engine: Engine, spec: VmSpec): Promise<GuestSetup> => ({
  ...emptySetup,
  environment: {...(await dockerfileEnvironment(spec)), ...spec.env},
})
