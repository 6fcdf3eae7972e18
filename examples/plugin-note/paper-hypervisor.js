import {readFile, rm, writeFile} from 'node:fs/promises'
import {join} from 'node:path'

const file = (vm) => join(vm.directory, 'paper.txt')
const read = (vm) => readFile(file(vm), 'utf8').catch(() => undefined)

/** The state of a VM for which nothing runs: what the engine has put on record. */
const atRest = ({failure, phase}) => {
  if (failure) return 'failed'
  return phase === 'prepared' ? 'prepared' : 'stopped'
}

/**
 * A backend whose VMs exist on paper only. `VMCTL_BACKEND=paper vmctl create …` uses it.
 * Every method may be called twice; `testHypervisor` of vmctl/testing checks that.
 * @returns {import('vmctl/plugin').Hypervisor}
 */
export const paperHypervisor = ({VmctlError}) => ({
  name: 'paper',
  unavailable: async () => undefined,
  check: async () => undefined,
  prepare: async () => undefined,
  start: async (vm, {signal}) => {
    signal.throwIfAborted()
    if ((await read(vm)) === undefined) await writeFile(file(vm), 'running')
  },
  stop: async (vm) => rm(file(vm), {force: true}),
  destroy: async (vm) => rm(file(vm), {force: true}),
  suspend: async (vm) => writeFile(file(vm), 'suspended'),
  resume: async (vm) => writeFile(file(vm), 'running'),
  observe: async (vm) => ({state: (await read(vm)) ?? atRest(vm)}),
  dial: async (vm) => {
    // So vmctl need not try again, as it would while a guest boots.
    throw new VmctlError('vmctl::backend::not_available', `${vm.name} is made of paper; nobody answers.`, {retry: 'never'})
  },
  sshAddress: async () => undefined,
})
