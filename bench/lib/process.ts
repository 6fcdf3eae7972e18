import {type ChildProcess, spawn} from 'node:child_process'
import {readFileSync} from 'node:fs'
import {basename} from 'node:path'

export interface RunOptions {
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
  /** Where standard output goes: collected, or to /dev/null as to a terminal that is never slow. */
  readonly stdout?: 'collect' | 'discard'
  readonly input?: string
  /** Kills the program, as `kill -9` does. */
  readonly signal?: AbortSignal
}

export interface Ran {
  readonly ms: number
  readonly stdout: string
  readonly stderr: string
  /** CPU time and peak memory of this process alone, looked at every 20 ms. */
  readonly cpuMs: number
  readonly peakMiB: number
}

const running = new Set<ChildProcess>()
let isOver = false

/** Kills every program that is running, and lets none start any more. */
export const endPrograms = (): void => {
  isOver = true
  for (const child of running) child.kill('SIGKILL')
}

/** Runs a program to its end; anything but status 0 is an error with what it said. */
export const run = (program: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> =>
  new Promise((resolve, reject) => {
    if (isOver) throw new Error('the benchmark is being ended')
    const began = performance.now()
    const child = spawn(program, args, {
      env: options.env,
      cwd: options.cwd,
      ...(options.signal && {signal: options.signal, killSignal: 'SIGKILL'}),
      stdio: [options.input === undefined ? 'ignore' : 'pipe', options.stdout === 'discard' ? 'ignore' : 'pipe', 'pipe'],
    })
    running.add(child)
    const said = {stdout: '', stderr: ''}
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (said.stdout += text))
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (said.stderr = (said.stderr + text).slice(-20_000)))
    child.stdin?.end(options.input)
    let seen = {cpuMs: 0, peakMiB: 0}
    let ms = 0
    const clock = setInterval(() => {
      seen = lookAt(child.pid ?? 0) ?? seen
    }, 20)
    child.on('exit', () => {
      ms = performance.now() - began
      clearInterval(clock)
    })
    child.on('error', (error) => {
      clearInterval(clock)
      running.delete(child)
      reject(error)
    })
    child.on('close', (code, signal) => {
      running.delete(child)
      if (code === 0) resolve({ms, ...said, ...seen})
      else
        reject(
          new Error(
            `${basename(program)} ended with ${code ?? signal}\n${[program, ...args].join(' ').slice(0, 1000)}\n${said.stderr.slice(-2000)}${said.stdout.slice(-500)}`,
          ),
        )
    })
  })

/** proc(5): /proc/PID/stat fields 14 and 15 in hundredths of a second; VmHWM is the peak so far. */
const lookAt = (pid: number): {cpuMs: number; peakMiB: number} | undefined => {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
    const [, peakKiB] = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
    // A process that has ended and was not yet waited for has no memory.
    if (peakKiB === undefined) return undefined
    return {cpuMs: (Number(fields[11]) + Number(fields[12])) * 10, peakMiB: Number(peakKiB) / 1024}
  } catch {
    return undefined
  }
}

/** CPU time of a short command and of the children that it waited for. bash counts it in milliseconds. */
export const cpuMs = async (command: readonly string[], options: RunOptions = {}): Promise<number> => {
  const script = 'TIMEFORMAT="%U %S"; exec 3>&1; { time "$@" >/dev/null 2>/dev/null; } 2>&3'
  const {stdout} = await run('bash', ['-c', script, 'bash', ...command], {...options, env: {...(options.env ?? process.env), LC_ALL: 'C'}})
  const [user, system] = stdout.trim().split(' ').map(Number)
  return ((user ?? NaN) + (system ?? NaN)) * 1000
}

/** Why a bench cannot run: the programs of its list that are not on PATH. */
export const missing = async (...programs: readonly string[]): Promise<string | undefined> => {
  const absent: string[] = []
  for (const program of programs) {
    await run('sh', ['-c', 'command -v "$1"', 'sh', program]).catch(() => absent.push(program))
  }
  return absent.length > 0 ? `${absent.join(', ')} not installed` : undefined
}
