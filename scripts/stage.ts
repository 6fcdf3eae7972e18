/** Where the commands of the documentation are run: a home, a directory, a state directory and a vmctl of their own. */
import {spawn, spawnSync} from 'node:child_process'
import {createHash} from 'node:crypto'
import {once} from 'node:events'
import {chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir, userInfo} from 'node:os'
import {basename, join} from 'node:path'

import {openEngine} from '../src/engine/engine.ts'
import {ensureImage, type FetchedImage} from '../src/image/index.ts'
import {imageNamed} from '../src/engine/make/spec.ts'
import {startSshd} from '../test/support/sshd.ts'
import {openScreen, type Screen} from './screen.ts'

const root = join(import.meta.dirname, '..')

/** What plays the guest: nothing but an SSH server of this host, or QEMU with the small guest of the tests. */
export type Guests = 'noop' | 'micro'

export const isGuests = (text: string): text is Guests => text === 'noop' || text === 'micro'

export interface Ran {
  readonly exitCode: number
  readonly screen: Screen
}

export interface Stage extends AsyncDisposable {
  /** The directory in which commands run. */
  readonly directory: string
  /** Runs a command line on a terminal; `onText` hears what it writes as it comes. */
  run(command: string, onText?: (text: string) => void): Promise<Ran>
  /** The same without a terminal, for what readers do not see. @throws when it fails */
  prepare(script: string): Promise<void>
  /** Puts the disk of the guest into the cache as what the name stands for, as if it had been downloaded. */
  cache(image: string): Promise<void>
}

/** What runs vmctl: the build, or the sources. */
export type Program = 'bin/run.js' | 'bin/dev.js'

interface StageOptions {
  readonly program?: Program
  /** Last part of the directory's name, which is what commands show. */
  readonly name?: string
  /** Width of the terminal. */
  readonly columns?: number
}

export const openStage = async (guests: Guests, options: StageOptions = {}): Promise<Stage> => {
  const {program = 'bin/run.js', name = 'project', columns = 120} = options
  const home = mkdtempSync(join(tmpdir(), 'vmctl-docs-'))
  const [directory, bin, stateDirectory] = [join(home, name), join(home, '.bin'), join(home, '.local/share/vmctl')]
  for (const path of [directory, bin]) mkdirSync(path)
  writeFileSync(join(bin, 'vmctl'), `#!/bin/sh\nexec '${process.execPath}' '${join(root, program)}' "$@"\n`)
  chmodSync(join(bin, 'vmctl'), 0o755)
  const disk = guests === 'micro' ? microImage() : emptyDisk(home)
  const sshd = guests === 'noop' ? await startSshd() : undefined
  const env = {
    PATH: `${bin}:${process.env.PATH}`,
    HOME: home,
    USER: userInfo().username,
    LANG: 'C.UTF-8',
    TERM: 'xterm-256color',
    TZ: 'UTC',
    DISK: disk,
    REPOSITORY: root,
    ...(sshd ? {VMCTL_BACKEND: 'noop', VMCTL_NOOP_SSH: `127.0.0.1:${sshd.port}`, KEY: sshd.keyPath} : {VMCTL_ACCEL: 'tcg'}),
  }

  const run: Stage['run'] = async (command, onText) => {
    const screen = openScreen(columns)
    // `script` gives the command a terminal; its own standard input stays open, since its end would be typed as Ctrl+D.
    const child = spawn('script', ['-qfec', `stty rows 50 cols ${columns} -echo; ${command}`, '/dev/null'], {
      cwd: directory,
      env,
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      screen.write(text)
      onText?.(text)
    })
    const [exitCode] = (await once(child, 'close')) as [number | null]
    child.stdin.destroy()
    return {exitCode: exitCode ?? 1, screen}
  }

  return {
    directory,
    run,
    async prepare(script) {
      const {status, stdout, stderr} = await quietly(script, {cwd: directory, env})
      if (status !== 0) throw new Error(`A preparation failed with ${status}:\n${script}\n${stdout}${stderr}`)
    },
    async cache(image) {
      const engine = await openEngine({stateDirectory, env})
      const reference = await imageNamed(image, {directory, catalogue: (await engine.catalogue()).publishers})
      const url = `https://example.org/${basename(disk)}`
      const {digests} = copyOf(disk, join(home, '.published'), basename(disk))
      const source = {schemes: ['https'], fetch: async (_: unknown, path: string) => copyOf(disk, path, basename(disk))}
      const resolve = async () => ({urls: [url], digests, trust: {level: 'checksum'} as const})
      await ensureImage({...engine.images, sources: [source], resolve}, reference, {signal: engine.signal})
    },
    async [Symbol.asyncDispose]() {
      const vms = join(stateDirectory, 'vms')
      for (const vm of existsSync(vms) ? readdirSync(vms) : []) {
        // oxlint-disable-next-line no-await-in-loop -- one after the other is fine for what takes no time
        await quietly(`vmctl destroy --yes '${vm}'`, {cwd: directory, env})
      }
      await sshd?.[Symbol.asyncDispose]()
      rmSync(home, {recursive: true, force: true})
    },
  }
}

const quietly = async (
  script: string,
  options: {readonly cwd: string; readonly env: NodeJS.ProcessEnv},
): Promise<{status: number | null; stdout: string; stderr: string}> => {
  const child = spawn('sh', ['-ec', script], {...options, stdio: ['ignore', 'pipe', 'pipe']})
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const [status] = (await once(child, 'close')) as [number | null]
  return {status, stdout, stderr}
}

/** The disk of the small guest, which is built when it is not there. */
const microImage = (): string => {
  const {status, stdout, stderr} = spawnSync('sh', [join(root, 'fixtures/guests/build.sh'), 'micro'], {encoding: 'utf8'})
  if (status !== 0) throw new Error(`The small guest cannot be built:\n${stderr}`)
  return stdout.trim()
}

const emptyDisk = (directory: string): string => {
  const path = join(directory, '.disk.qcow2')
  spawnSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, '2G'])
  return path
}

/** As an image source reports it: what was written, with its digests. */
const copyOf = (from: string, to: string, name: string): FetchedImage => {
  copyFileSync(from, to)
  const content = readFileSync(to)
  const digest = (algorithm: string): string => createHash(algorithm).update(content).digest('hex')
  return {name, sizeBytes: content.length, digests: {sha256: digest('sha256'), sha512: digest('sha512')}}
}
