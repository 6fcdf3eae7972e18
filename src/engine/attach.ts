import {emptySetup, type GuestSetup} from '../guest/setup/script.ts'
import type {Attachments, Vm, VmSpec} from '../model/vm.ts'
import {attachShares} from '../share/shares.ts'
import type {Engine} from './engine.ts'
import {mountsOf} from './mounts.ts'
import {dockerfileEnvironment} from './steps.ts'
import {attachVolumes} from './volumes.ts'

/**
 * Makes what a VM is to be connected to, and keeps what is there. Idempotent; the caller holds the VM's lock.
 * Everything that can be refused is refused before anything starts.
 */
export const attach = async (engine: Engine, vm: Pick<Vm, 'id' | 'name' | 'spec' | 'directory'>): Promise<Attachments> => ({
  nics: [],
  disks: await attachVolumes(engine, vm),
  folders: await attachShares(vm.directory, vm.spec.shares ?? []),
})

/** What the guest of a VM gets from its stack, as far as it is known now; makes nothing. */
export const setupOf = async (_engine: Engine, spec: VmSpec): Promise<GuestSetup> => ({
  ...emptySetup,
  environment: {...(await dockerfileEnvironment(spec)), ...spec.env},
  mounts: mountsOf(spec),
})
