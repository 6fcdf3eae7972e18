import {execFileSync} from 'node:child_process'
import {createHash} from 'node:crypto'
import {cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {readGuest, writeGuest} from '../../src/guest/record.ts'
import {converge, planAll} from '../../src/engine/converge/converge.ts'
import {type Engine, openEngine} from '../../src/engine/engine.ts'
import {cachedImages, pullImage, removeCached} from '../../src/engine/manage/images.ts'
import {list, status} from '../../src/engine/show/inspect.ts'
import {create, destroy} from '../../src/engine/vm/lifecycle.ts'
import {logFiles} from '../../src/engine/show/logs.ts'
import {readRuntime} from '../../src/hypervisor/qemu/runtime.ts'
import {failures} from '../../src/engine/failures.ts'
import {isVmctlError} from '../../src/model/errors.ts'
import type {VmSpec} from '../../src/model/vm.ts'
import {readJournal, writeJournal} from '../../src/provision/run/journal.ts'
import {openLogIndex} from '../../src/provision/log/log-index.ts'
import {openStore, readVm} from '../../src/store/store.ts'
import {createRandom} from '../fuzz/random.ts'
import {startImageServer} from '../support/image-server.ts'

/** A file of the state directory and what became of its bytes. */
export interface Damage {
  /** Path below the state directory. */
  readonly file: string
  /** Cut to this length; whole when absent. */
  readonly length?: number
  /** Bits that are turned, counted from the first one of the file. */
  readonly bits: readonly number[]
}

/** One line of the table: what was tried, how often, and what went wrong. */
interface Row {
  readonly what: string
  readonly trials: number
  readonly wrong: readonly string[]
}

const memory = (): string => (existsSync('/dev/shm') ? '/dev/shm' : tmpdir())

/**
 * A state directory with VMs of both backends and an image cache, of which any file can be damaged; every command then has
 * to recover or to say what is wrong, and nobody loses a disk or a key.
 */
export class DamageLab implements AsyncDisposable {
  readonly #directory: string
  readonly #engine: Engine
  readonly #url: string
  readonly #disk: string
  #truth: ReadonlyMap<string, string | undefined> = new Map()

  static async open(): Promise<DamageLab> {
    const directory = mkdtempSync(join(memory(), 'vmctl-damage-'))
    const stateDirectory = join(directory, 'state')
    mkdirSync(stateDirectory, {mode: 0o700})
    const base = join(directory, 'base.qcow2')
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', base, '1M'])
    const engine = await openEngine({stateDirectory, backend: 'noop', env: {}})
    await using server = await startImageServer()
    server.files.set('/disk.qcow2', {content: readFileSync(base)})
    const url = `${server.origin}/disk.qcow2`
    const {path} = await pullImage(engine, url, {directory: '/'})
    const lab = new DamageLab({directory, engine, url, disk: path})
    await lab.#prepare()
    return lab
  }

  private constructor({directory, engine, url, disk}: {directory: string; engine: Engine; url: string; disk: string}) {
    this.#directory = directory
    this.#engine = engine
    this.#url = url
    this.#disk = disk
  }

  async #prepare(): Promise<void> {
    const qemu = {...this.#engine, backend: 'qemu'}
    const cloudInit = {hostname: 'web', sshKeys: []}
    await converge(this.#engine, {vmfile: this.#vmfile, verb: 'up', provision: false})
    await create(this.#engine, {...this.#spec('noop-neighbour'), cloudInit})
    await create(qemu, {...this.#spec('qemu'), cloudInit, image: {kind: 'url', source: this.#url}})
    const web = this.#path('vms/web')
    // The backend that runs nothing makes no disk and no log.
    writeFileSync(join(web, 'overlay.qcow2'), 'the disk')
    writeFileSync(join(web, 'id_ed25519_generated'), 'the key')
    writeFileSync(join(web, 'provision.log'), 'x'.repeat(300))
    writeFileSync(join(web, 'provision.index'), '{"token":"run","base":100,"stdout":50,"stderr":20}\nn 30\no 100\ne 70\n')
    const step = {hash: 'h', type: 'shell', title: 'inline: true', facts: {inline: 'f'}, startedAt: '2026-01-02T03:04:05.000Z'}
    await writeGuest(web, {schema: 1, ready: true, setup: {env: 'h'}})
    await writeJournal(web, {
      schema: 2,
      steps: [
        {...step, state: 'done', exitCode: 0},
        {...step, state: 'running', memory: {directory: '/var/tmp/x'}},
      ],
    })
    this.#truth = await this.#settings()
    cpSync(this.#path(''), this.#saved(''), {recursive: true, preserveTimestamps: true})
  }

  get #vmfile() {
    return {
      path: join(this.#directory, 'VMFile.kdl'),
      directory: this.#directory,
      networks: [],
      volumes: [],
      vms: [this.#spec('web')],
      warnings: [],
    }
  }

  #spec(name: string): VmSpec {
    const image = {kind: 'file', source: join(this.#directory, 'base.qcow2')} as const
    return {name, image, vcpus: 1, memoryMiB: 256, network: {type: 'user'}, provision: []}
  }

  #path(name: string): string {
    return join(this.#directory, 'state', name)
  }

  #saved(name: string): string {
    return join(this.#directory, 'saved', name)
  }

  /** What is on record of each VM, by what is asked for; undefined for what is told to be damaged. */
  async #settings(): Promise<ReadonlyMap<string, string | undefined>> {
    const store = await openStore(this.#path(''))
    const entries: [string, string | undefined][] = []
    for (const name of ['noop-neighbour', 'qemu', 'web']) {
      const vm = await readVm(store, name).catch(() => undefined)
      entries.push([`the record of ${name}`, vm && JSON.stringify([vm.id, vm.name, vm.backend, vm.phase, vm.base, vm.spec])])
    }
    const journal = await readJournal(this.#path('vms/web')).catch(() => undefined)
    entries.push(['the journal', journal && JSON.stringify(journal.steps)])
    const guest = await readGuest(this.#path('vms/web')).catch(() => undefined)
    entries.push(['the record of the guest', guest && JSON.stringify([guest.ready, guest.setup])])
    const runtime = await readRuntime(this.#path('vms/qemu')).catch(() => undefined)
    entries.push(['qemu.json', runtime && JSON.stringify([runtime.name, runtime.macAddress, runtime.sshPort])])
    return new Map(entries)
  }

  /** The files that say what there is, and their lengths in bytes. */
  files(): ReadonlyMap<string, number> {
    const names = readdirSync(this.#saved(''), {recursive: true, encoding: 'utf8'}).filter((name) =>
      /\.json$|known_hosts$|\.index$/.test(name),
    )
    return new Map(names.toSorted().map((name) => [name, statSync(this.#saved(name)).size]))
  }

  /** Damages a file and runs every command that reads it. Says what went wrong. */
  async try({file, length, bits}: Damage): Promise<string[]> {
    const whole = readFileSync(this.#saved(file))
    const damaged = Buffer.from(whole.subarray(0, length ?? whole.length))
    for (const bit of bits) {
      const at = Math.floor(bit / 8) % Math.max(1, damaged.length)
      if (damaged.length > 0) damaged[at] = (damaged[at] ?? 0) ^ (1 << (bit % 8))
    }
    writeFileSync(this.#path(file), damaged)
    const wrong: string[] = []
    try {
      await this.#readers(wrong)
      await this.#writers(wrong)
    } finally {
      rmSync(this.#path(''), {recursive: true, force: true})
      cpSync(this.#saved(''), this.#path(''), {recursive: true, preserveTimestamps: true})
    }
    return wrong.map((problem) => `${file}, ${length === undefined ? `bits ${bits.join(' ')}` : `${length} bytes`}: ${problem}`)
  }

  async #readers(wrong: string[]): Promise<void> {
    const engine = this.#engine
    for (const [what, content] of await this.#settings()) {
      // A journal that is not there is an empty one, and none of the files goes away here.
      if (content !== undefined && content !== this.#truth.get(what)) wrong.push(`${what} says something else: ${content}`)
    }
    const listed = await attempt(wrong, 'list', () => list(engine))
    const names = listed?.map(({name}) => name).join(' ')
    if (names !== 'noop-neighbour qemu web') wrong.push(`list shows ${names}`)
    for (const name of ['web', 'qemu']) {
      await attempt(wrong, `status ${name}`, () => status(engine, name))
      await attempt(wrong, `log ${name}`, () => logFiles(engine, name))
    }
    await attempt(wrong, 'plan', () => planAll(engine, {vmfile: this.#vmfile, verb: 'up', provision: true}))
    await attempt(wrong, 'image list', async () => {
      if ((await cachedImages(engine)).length === 0) wrong.push('the image is not listed')
    })
    const web = this.#path('vms/web')
    await attempt(wrong, 'the log index', async () => {
      const {index, delivered} = await openLogIndex({log: join(web, 'provision.log'), index: join(web, 'provision.index')}, 'run')
      await index[Symbol.asyncDispose]()
      if (delivered.stdout + delivered.stderr > 300) wrong.push(`${delivered.stdout + delivered.stderr} bytes of 300 count as delivered`)
    })
  }

  async #writers(wrong: string[]): Promise<void> {
    const engine = this.#engine
    await attempt(wrong, 'image rm', () => removeCached(engine, this.#disk))
    if (!existsSync(this.#disk)) wrong.push('the image of a VM was removed')
    await attempt(wrong, 'up', () => converge(engine, {vmfile: this.#vmfile, verb: 'up', provision: false}))
    await attempt(wrong, 'down', () => converge(engine, {vmfile: this.#vmfile, verb: 'down', provision: false}))
    wrong.push(...this.#changed('after up and down', ['web', 'qemu', 'noop-neighbour']))
    const destroyed = await attempt(wrong, 'destroy web', () => destroy(engine, 'web'))
    if (destroyed && existsSync(this.#path('vms/web'))) wrong.push('destroy left the VM')
    wrong.push(...this.#changed('after destroy web', ['qemu', 'noop-neighbour']))
    await attempt(wrong, 'destroy qemu', () => destroy(engine, 'qemu'))
    wrong.push(...this.#changed('after destroy qemu', ['noop-neighbour']))
    if (!existsSync(join(this.#directory, 'base.qcow2'))) wrong.push('the image of the user is gone')
  }

  /** Disks and keys that are not what they were. */
  #changed(when: string, names: readonly string[]): string[] {
    return names.flatMap((name) =>
      readdirSync(this.#saved(`vms/${name}`))
        .filter((file) => /qcow2$|generated/.test(file))
        .filter((file) => digest(this.#path(`vms/${name}/${file}`)) !== digest(this.#saved(`vms/${name}/${file}`)))
        .map((file) => `${when}: ${file} of ${name} is not what it was`),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    rmSync(this.#directory, {recursive: true, force: true})
  }
}

const digest = (path: string): string | undefined =>
  existsSync(path) ? createHash('sha256').update(readFileSync(path)).digest('hex') : undefined

/** Runs a command; anything but a success and an error with a code is wrong. */
const attempt = async <T>(wrong: string[], what: string, action: () => Promise<T>): Promise<T | undefined> => {
  try {
    return await action()
  } catch (error) {
    const isClear = isVmctlError(error) && Object.hasOwn(failures, error.code) && error.message !== '' && error.help !== ''
    if (!isClear) wrong.push(`${what}: ${error instanceof Error ? error.stack : String(error)}`)
    return undefined
  }
}

/** Every length to which each file can be cut. */
export const truncations = (files: ReadonlyMap<string, number>): Damage[] =>
  [...files].flatMap(([file, size]) => Array.from({length: size}, (_, length) => ({file, length, bits: []})))

/** One to three random bits of a random file. */
export const flips = (files: ReadonlyMap<string, number>, {count, seed}: {readonly count: number; readonly seed: number}): Damage[] => {
  const random = createRandom(seed)
  const all = [...files]
  return Array.from({length: count}, () => {
    const [file, size] = random.pick(all)
    return {file, bits: Array.from({length: random.pick([1, 1, 2, 3])}, () => random.below(size * 8))}
  })
}

/** F11 of the table of `npm run test:torture`. */
export const damage = {
  id: 'F11',
  async *rows({trials = 10_000, seed}: {readonly trials?: number | undefined; readonly seed: number}): AsyncGenerator<Row> {
    await using lab = await DamageLab.open()
    const files = lab.files()
    const rows = {
      [`each of ${files.size} state files cut to every length`]: truncations(files),
      [`random bits of ${files.size} state files turned`]: flips(files, {count: trials, seed}),
    }
    for (const [what, damages] of Object.entries(rows)) {
      const wrong: string[] = []
      for (const each of damages) wrong.push(...(await lab.try(each)))
      yield {what, trials: damages.length, wrong}
    }
  },
}
