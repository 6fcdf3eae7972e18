import {type ChildProcess, spawn} from 'node:child_process'
import {randomUUID} from 'node:crypto'
import {cpSync, existsSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'

import {hostBootId, identifyProcess, type ProcessIdentity} from '../../src/host/proc.ts'
import {qemuHypervisor} from '../../src/hypervisor/qemu/index.ts'
import type {Vm} from '../../src/model/vm.ts'
import {readVm} from '../../src/store/store.ts'
import {isAlive} from '../support/vm-processes.ts'
import {type Figure, randomFrom, type Row, type TortureOptions, tryAll} from './figure.ts'
import {describe, QemuWorld, wrongVerdicts} from './world.ts'

const vmfile = 'vm "web" { image "disk.qcow2"; memory 64; }'

/** What a process may look like that got the number of a QEMU; it dies of any signal. */
const strangers = ['plain', 'names another VM', 'names the VM'] as const

const startStranger = (kind: (typeof strangers)[number], id: string): ChildProcess => {
  const words = {plain: [], 'names another VM': ['-uuid', randomUUID()], 'names the VM': ['-uuid', id]}[kind]
  // As `pgrep -f` and an editor have it: the option of QEMU in the command line of a program that is none.
  return spawn('sh', ['-c', 'read -r line', 'sh', ...words], {stdio: ['pipe', 'ignore', 'ignore']})
}

const records = ['another boot', 'another start', 'another boot and start', 'pid file only'] as const

/** What qemu.json says of a process that has the stranger's number. */
const recordOf = (kind: (typeof records)[number], {pid, startTime}: ProcessIdentity): ProcessIdentity | undefined => {
  const earlier = String(Number(startTime) - 1)
  if (kind === 'another boot') return {pid, startTime, bootId: randomUUID()}
  if (kind === 'another start') return {pid, startTime: earlier, bootId: hostBootId()}
  return kind === 'another boot and start' ? {pid, startTime: earlier, bootId: randomUUID()} : undefined
}

const verbs = ['observe', 'stop', 'stop at once', 'destroy', 'start', 'up', 'down', 'down --destroy'] as const

interface Case {
  readonly stranger: (typeof strangers)[number]
  readonly record: (typeof records)[number]
  readonly verb: (typeof verbs)[number]
}

/** A VM whose power was cut, with all the files that a live one has. */
class Ruin implements AsyncDisposable {
  readonly world: QemuWorld
  readonly vm: Vm
  readonly #saved: string

  static async make(): Promise<Ruin> {
    const world = new QemuWorld()
    world.write('VMFile.kdl', vmfile)
    await world.ok(['up'])
    for (const {pid} of world.qemus()) process.kill(pid, 'SIGKILL')
    const directory = join(world.stateDirectory, 'vms')
    const vm = await readVm({directory: world.stateDirectory, vmsDirectory: directory, lockDirectory: ''}, 'web')
    if (!vm) throw new Error('There is no VM.')
    return new Ruin(world, vm)
  }

  private constructor(world: QemuWorld, vm: Vm) {
    this.world = world
    this.vm = vm
    this.#saved = join(world.directory, 'saved')
    cpSync(vm.directory, this.#saved, {recursive: true, filter: (path) => !path.endsWith('.sock')})
  }

  restore(): void {
    for (const {pid} of this.world.qemus()) process.kill(pid, 'SIGKILL')
    rmSync(this.vm.directory, {recursive: true, force: true})
    cpSync(this.#saved, this.vm.directory, {recursive: true})
  }

  /** Lets the files of the VM name a process as its QEMU. */
  name(identity: ProcessIdentity, record: Case['record']): void {
    const path = join(this.vm.directory, 'qemu.json')
    const {process: _old, sha256: _seal, ...rest} = JSON.parse(readFileSync(path, 'utf8'))
    const named = recordOf(record, identity)
    writeFileSync(path, JSON.stringify({...rest, ...(named && {process: named})}))
    writeFileSync(join(this.vm.directory, 'pidfile'), `${identity.pid}\n`)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.world[Symbol.asyncDispose]()
  }
}

const act = async ({world, vm}: Ruin, verb: Case['verb']): Promise<string[]> => {
  const hypervisor = qemuHypervisor({stateDirectory: world.stateDirectory, accelerators: ['tcg']})
  const options = {signal: AbortSignal.timeout(60_000)}
  switch (verb) {
    case 'observe': {
      const {state, pid} = await hypervisor.observe(vm)
      return state === 'stopped' && pid === undefined ? [] : [`it is said to be ${state}, process ${pid}`]
    }
    case 'stop':
    case 'stop at once':
      await hypervisor.stop(vm, {...options, timeoutMs: verb === 'stop' ? 200 : 0})
      return []
    case 'destroy':
      await hypervisor.destroy(vm, options)
      return []
    case 'start':
      await hypervisor.start(vm, options)
      return world.qemus().length === 1 ? [] : ['no QEMU was started']
    default: {
      const outcome = await world.run(verb.split(' '))
      return outcome.exitCode === 0 ? wrongVerdicts(world) : [describe(outcome)]
    }
  }
}

const reusePid = async ({stranger, record, verb}: Case, ruin: Ruin): Promise<string[]> => {
  ruin.restore()
  const child = startStranger(stranger, ruin.vm.id)
  try {
    const identity = await identifyProcess(child.pid ?? 0)
    if (!identity) return ['the stranger did not start']
    ruin.name(identity, record)
    const found = await act(ruin, verb)
    // A signal that was sent has arrived by then.
    await sleep(1)
    if (child.exitCode !== null || child.signalCode !== null || !isAlive(identity.pid)) found.push('the stranger was killed')
    return found.length === 0 ? [] : [`${verb}; the stranger: ${stranger}; the record: ${record}: ${found.join('; ')}`]
  } finally {
    child.kill('SIGKILL')
  }
}

const reusedPids = async ({trials = 1000, ...options}: TortureOptions): Promise<Row> => {
  const random = randomFrom(options.seed)
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T
  const cases = Array.from({length: trials}, (): Case => ({stranger: pick(strangers), record: pick(records), verb: pick(verbs)}))
  return {
    what: 'power cut, PID reused by a stranger: signals to strangers',
    ...(await tryAll(cases, {...options, bench: () => Ruin.make()}, reusePid)),
  }
}

/** In process and mount namespaces of its own, where the boot id can be another one and every PID can be had. */
const asBoot = (world: QemuWorld, script: string): Promise<string> => {
  const bootId = world.write('boot-id', `${randomUUID()}\n`)
  const setup = `mount --bind '${bootId}' /proc/sys/kernel/random/boot_id || exit 1\n`
  const child = spawn('unshare', ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc', 'sh', '-c', setup + script], {
    cwd: world.directory,
    env: {...world.env, NODE: process.execPath},
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text))
  return new Promise((resolve) => child.once('close', () => resolve(output)))
}

const program = join(import.meta.dirname, '../../bin/run.js')

/** The first boot ends like a power cut: with its first process, all others are killed. */
const reboot = async (verb: string, world: QemuWorld): Promise<string[]> => {
  const first = await asBoot(world, `"$NODE" '${program}' up || echo failed`)
  const {id} = await world.status()
  const record = JSON.parse(readFileSync(join(world.stateDirectory, 'vms/web/qemu.json'), 'utf8'))
  const pid: number = record.process.pid
  if (first.includes('failed') || world.qemus().length > 0) return [`the first boot: ${first}`]
  const second = await asBoot(
    world,
    `echo ${pid - 1} >/proc/sys/kernel/ns_last_pid
     sh -c 'exec 3<&-; sleep 1000' sh -uuid ${id} & stranger=$!
     [ $stranger -eq ${pid} ] || echo "wrong: the stranger is $stranger"
     "$NODE" '${program}' status web --json | grep -q '"state": "stopped"' || echo "wrong: status"
     "$NODE" '${program}' ${verb} || echo "wrong: ${verb} failed"
     kill -0 ${pid} || echo 'wrong: the stranger was killed'`,
  )
  const found = second.split('\n').filter((line) => line.startsWith('wrong: '))
  return found.length === 0 ? [] : [`${verb}: ${second}`]
}

const makeRebooted = async (): Promise<QemuWorld> => {
  const world = new QemuWorld()
  world.write('VMFile.kdl', vmfile)
  return world
}

const rebooted = async ({trials = 1000, ...options}: TortureOptions): Promise<Row> => {
  const words = ['up', 'down', 'destroy web', 'reload', 'start web']
  const cases = Array.from({length: Math.ceil(trials / 20)}, (_, index) => words[index % words.length] as string)
  return {
    what: 'host rebooted (namespaces): signals to strangers, and the command works',
    ...(await tryAll(cases, {...options, bench: makeRebooted}, reboot)),
  }
}

export const hostReboot: Figure = {
  id: 'F4',
  async *rows(options) {
    yield await reusedPids(options)
    if (process.getuid?.() === 0 && existsSync('/proc/sys/kernel/ns_last_pid')) yield await rebooted(options)
  },
}
