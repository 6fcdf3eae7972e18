import {cpSync, readdirSync, readFileSync, readlinkSync, symlinkSync} from 'node:fs'
import {mkdir, mkdtemp, rm, statfs, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join, resolve} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'

import {cpuMs, endPrograms, type Ran, run, type RunOptions} from './process.ts'

const repository = resolve(import.meta.dirname, '../..')

/** Where one run of the benches lives. Everything in it goes when the run ends. */
export interface Workspace {
  readonly repository: string
  /** vmctl as it is installed: bin, dist and the manifest of its commands; later builds do not change it. */
  readonly app: string
  readonly env: NodeJS.ProcessEnv
  /** A new directory, on disk or in memory (where files are to cost nothing, if there is room). */
  directory(name: string, where?: 'disk' | 'memory'): Promise<string>
  /** The words of a vmctl command. */
  command(...args: readonly string[]): string[]
  vmctl(args: readonly string[], options?: RunOptions): Promise<Ran>
  cpuOfVmctl(args: readonly string[], options?: RunOptions): Promise<number>
  /** Something to do at the end, last first. */
  atEnd(action: () => void | Promise<void>): void
  end(): Promise<void>
}

const roomBytes = 4 * 2 ** 30

export const openWorkspace = async (): Promise<Workspace> => {
  const disk = await mkdtemp(join(tmpdir(), 'vmctl-bench-'))
  const memory = (await hasRoom('/dev/shm')) ? await mkdtemp('/dev/shm/vmctl-bench-') : disk
  const actions: (() => void | Promise<void>)[] = []
  const app = join(disk, 'app')
  const env = privateEnvironment(disk)
  await install(app, env)
  const command = (...args: readonly string[]): string[] => [process.execPath, join(app, 'bin/run.js'), ...args]
  let counter = 0
  let ending: Promise<void> | undefined
  return {
    repository,
    app,
    env,
    async directory(name, where = 'disk') {
      const path = join(where === 'disk' ? disk : memory, `${name}-${++counter}`)
      await mkdir(path, {mode: 0o700})
      return path
    },
    command,
    vmctl: (args, options = {}) => run(process.execPath, command(...args).slice(1), {...options, env: {...env, ...options.env}}),
    cpuOfVmctl: (args, options = {}) => cpuMs(command(...args), {...options, env: {...env, ...options.env}}),
    atEnd: (action) => void actions.push(action),
    end() {
      ending ??= (async () => {
        endPrograms()
        for (const action of actions.toReversed()) await Promise.resolve(action()).catch(() => undefined)
        for (const root of new Set([disk, memory])) {
          await endProcessesOf(root)
          await rm(root, {recursive: true, force: true, maxRetries: 3})
        }
      })()
      return ending
    },
  }
}

const hasRoom = async (path: string): Promise<boolean> => {
  const info = await statfs(path).catch(() => undefined)
  return info !== undefined && info.bavail * info.bsize > roomBytes
}

/** Nothing of the user who runs the benches is read or written: no plugins, no keys, no agent, no cache of compiled code. */
const privateEnvironment = (root: string): NodeJS.ProcessEnv => {
  const home = join(root, 'home')
  const kept = Object.entries(process.env).filter(([name]) => !/^(?:VMCTL_|XDG_|SSH_|NODE_|npm_|CI$|DEBUG$)/.test(name))
  return {
    ...Object.fromEntries(kept),
    HOME: home,
    TMPDIR: root,
    NODE_COMPILE_CACHE: join(root, 'compile-cache'),
    XDG_DATA_HOME: join(home, 'data'),
    XDG_CONFIG_HOME: join(home, 'config'),
    XDG_CACHE_HOME: join(home, 'cache'),
  }
}

const install = async (app: string, env: NodeJS.ProcessEnv): Promise<void> => {
  await mkdir(app)
  for (const part of ['bin', 'dist', 'package.json']) cpSync(join(repository, part), join(app, part), {recursive: true})
  symlinkSync(join(repository, 'node_modules'), join(app, 'node_modules'))
  await mkdir(env.HOME ?? '')
  await run(process.execPath, [join(repository, 'node_modules/oclif/bin/run.js'), 'manifest'], {cwd: app, env})
}

/** A last look for what outlived its starter, as a QEMU does on purpose: the path of this run is in its command line, or it works there. */
const endProcessesOf = async (root: string): Promise<void> => {
  for (let attempt = 0; attempt < 20; attempt++) {
    const found = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid && belongsTo(name, root))
    if (found.length === 0) return
    for (const pid of found) {
      try {
        process.kill(Number(pid), 'SIGKILL')
      } catch {
        // It has ended by itself.
      }
    }
    await sleep(100)
  }
}

const belongsTo = (pid: string, root: string): boolean => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`${root}/`) || readlinkSync(`/proc/${pid}/cwd`).startsWith(`${root}/`)
  } catch {
    return false
  }
}

/** Writes a VMFile and says where it is. */
export const writeVmfile = async (directory: string, text: string): Promise<string> => {
  const path = join(directory, 'VMFile.kdl')
  await writeFile(path, text)
  return path
}

/** A disk that boots nothing, for VMs that only have to exist. */
export const emptyDisk = async (directory: string): Promise<string> => {
  const path = join(directory, 'empty.raw')
  await writeFile(path, Buffer.alloc(2 ** 20))
  return path
}
