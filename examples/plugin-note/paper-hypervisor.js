import {readFile, rm, writeFile} from 'node:fs/promises'
import {join} from 'node:path'

const file = (vm) => join(vm.directory, 'paper.txt')
const read = async (vm) => (await readFile(file(vm), 'utf8').catch(() => undefined))?.split('\n')[0]
/** The state, and below it the lines that the VMFile has asked for. */
const write = (vm, state) => writeFile(file(vm), `${state}\n${'\n'.repeat(vm.spec.paper?.lines ?? 0)}`)

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
  // In a vm of a VMFile: paper { lines 20; size "a5"; }. What it says is in `vm.spec.paper`.
  node: {
    doc: 'The sheet that the VM is on.',
    fields: {
      size: {holds: 'word', words: ['a4', 'a5'], doc: 'Size of the sheet.', effect: 'reload'},
      lines: {holds: 'integer', least: 1, most: 60, doc: 'Lines to be written on.'},
    },
    check({size, lines = 1}) {
      if (size === 'a5' && lines > 30) throw new Error('an a5 sheet has 30 lines at most')
    },
  },
  unavailable: async () => undefined,
  check: async () => undefined,
  prepare: async () => undefined,
  start: async (vm, {signal}) => {
    signal.throwIfAborted()
    if ((await read(vm)) === undefined) await write(vm, 'running')
  },
  stop: async (vm) => rm(file(vm), {force: true}),
  destroy: async (vm) => rm(file(vm), {force: true}),
  suspend: (vm) => write(vm, 'suspended'),
  resume: (vm) => write(vm, 'running'),
  observe: async (vm) => ({state: (await read(vm)) ?? atRest(vm)}),
  dial: async (vm) => {
    // So vmctl need not try again, as it would while a guest boots.
    throw new VmctlError('vmctl::backend::not_available', `${vm.name} is made of paper; nobody answers.`, {retry: 'never'})
  },
  sshAddress: async () => undefined,
})
