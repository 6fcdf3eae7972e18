import {execFile, spawn} from 'node:child_process'
import {randomUUID} from 'node:crypto'
import {once} from 'node:events'
import {readFileSync} from 'node:fs'
import {chmod, mkdir, mkdtemp, readdir, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {promisify} from 'node:util'

import {afterAll, beforeAll, describe} from 'vitest'

import {hostBootId, listProcesses, processArguments} from '../../src/host/proc.ts'
import {testHypervisor} from '../../src/hypervisor/contract/contract.ts'
import {qemuHypervisor} from '../../src/hypervisor/qemu/index.ts'
import {tapName} from '../../src/hypervisor/qemu/tap.ts'
import {qemuFiles} from '../../src/hypervisor/qemu/files.ts'
import type {Vm} from '../../src/model/vm.ts'
import {makeSpec, makeVm} from '../support/builders.ts'
import {endProcess} from '../support/sshd.ts'

/** The QEMU processes that carry the VM's UUID, wherever their records are. */
const processesOf = async (vm: Vm): Promise<number[]> => {
  const found: number[] = []
  for (const pid of await listProcesses()) {
    const args = await processArguments(pid)
    if (args[args.indexOf('-uuid') + 1] === vm.id) found.push(pid)
  }
  return found
}

// No guest: an empty disk. QEMU runs its firmware, which is enough for everything but a reaction to the power button.
describe('QEMU', () => {
  let root: string
  let image: string
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'vmctl-contract-'))
    image = join(root, 'empty.qcow2')
    await promisify(execFile)('qemu-img', ['create', '-q', '-f', 'qcow2', image, '16M'])
  })
  afterAll(() => rm(root, {recursive: true}))

  testHypervisor({
    create: async () => {
      const state = await mkdtemp(join(root, 'state-'))
      await chmod(state, 0o700)
      await mkdir(join(state, 'vms'))
      const made: Vm[] = []
      const strangers: number[] = []
      return {
        hypervisor: qemuHypervisor({stateDirectory: state, accelerators: ['tcg']}),
        makeVm: async (overrides) => {
          const vm = makeVm({
            id: randomUUID(),
            backend: 'qemu',
            directory: await mkdtemp(join(state, 'vms', 'vm-')),
            spec: makeSpec({image: {kind: 'file', source: image}, memoryMiB: 64}),
            base: {path: image, format: 'qcow2', virtualSizeBytes: 16 * 2 ** 20},
            phase: 'prepared',
            ...overrides,
          })
          made.push(vm)
          return vm
        },
        processes: processesOf,
        leftovers: async (vm) => {
          const files = qemuFiles(vm.directory)
          const names = await readdir(vm.directory)
          const sockets = [files.qmpSocket, files.monitorSocket, files.consoleSocket, files.pidfile].filter((path) =>
            names.includes(path.slice(vm.directory.length + 1)),
          )
          const devices = (await readdir('/sys/class/net')).filter((name) => name === tapName(vm))
          return [...sockets, ...devices]
        },
        seen: async (vm) =>
          (await readdir(vm.directory))
            .map((name) => (name.startsWith('seed') ? readFileSync(join(vm.directory, name), 'latin1') : ''))
            .join(''),
        forge: async (vm) => {
          const stranger = spawn('sleep', ['600'], {stdio: 'ignore'})
          await once(stranger, 'spawn')
          const pid = stranger.pid ?? 0
          strangers.push(pid)
          const files = qemuFiles(vm.directory)
          const runtime = {schema: 1, name: vm.name, macAddress: '52:54:00:00:00:01', process: {pid, startTime: '1', bootId: hostBootId()}}
          await writeFile(files.qemu, JSON.stringify(runtime))
          await writeFile(files.pidfile, `${pid}\n`)
          return {pid}
        },
        cleanup: async () => {
          for (const vm of made) for (const pid of await processesOf(vm)) endProcess(pid)
          for (const pid of strangers) endProcess(pid)
          await rm(state, {recursive: true, maxRetries: 5})
        },
      }
    },
  })
})
