import {chmodSync, closeSync, openSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {setTimeout as sleep} from 'node:timers/promises'

import {messageOf, systemCode, VmctlError} from '../model/errors.ts'
import {stripControls} from '../model/strip.ts'
import {ioError} from './files.ts'

export interface LockOptions {
  /** What the holder does, for the error of others: `up web`. */
  readonly purpose: string
  /** Milliseconds to wait for another holder; 0 fails at once, Infinity waits for ever. */
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
  /** Called once when another process holds the lock and is waited for. */
  readonly onWait?: (holder: string) => void
}

export interface Lock extends AsyncDisposable {
  readonly path: string
}

/**
 * Takes an exclusive lock that the kernel releases when its holder dies, however it dies.
 *
 * The lock is SQLite's own on an empty database file (POSIX advisory locks, see "File Locking And
 * Concurrency In SQLite Version 3"): Node has no flock(2), and a file with a PID in it would be
 * wrong across containers that share a state directory.
 * @throws VmctlError `vmctl::vm::locked` that names the holder, when the time is up
 */
export const acquireLock = async (path: string, options: LockOptions): Promise<Lock> => {
  const {DatabaseSync} = await import('node:sqlite')
  const begun = performance.now()
  let told = false
  createPrivately(path)
  for (let pause = 10; ; pause = Math.min(pause * 1.5, 200)) {
    options.signal?.throwIfAborted()
    const lock = tryLock(DatabaseSync, path, options.purpose)
    if (lock) return lock
    const waited = performance.now() - begun
    const holder = holderOf(path) ?? (waited < namelessMs ? undefined : 'an unnamed process')
    if (holder !== undefined && waited >= options.timeoutMs) {
      throw new VmctlError('vmctl::vm::locked', `Another vmctl is at work here: ${holder}.`, {details: {lock: path, holder}})
    }
    if (holder !== undefined && !told) {
      told = true
      options.onWait?.(holder)
    }
    const restMs = (holder === undefined ? 0 : pause) + Math.random() * 10
    await rest(restMs, options.signal)
  }
}

const rest = (ms: number, signal: AbortSignal | undefined): Promise<void> =>
  sleep(ms, undefined, signal && {signal}).catch((error: unknown) => {
    signal?.throwIfAborted()
    throw error
  })

type Database = typeof import('node:sqlite').DatabaseSync

/** Takes the lock and says so; undefined when that cannot be done now. */
const tryLock = (DatabaseSync: Database, path: string, purpose: string): Lock | undefined => {
  let database: InstanceType<Database> | undefined
  try {
    const opened = new DatabaseSync(path, {timeout: 0})
    database = opened
    opened.exec('BEGIN EXCLUSIVE')
    writeFileSync(holderFile(path), `${purpose} (process ${process.pid})`, {mode: 0o600})
    return {
      path,
      async [Symbol.asyncDispose]() {
        rmSync(holderFile(path), {force: true})
        opened.close()
      },
    }
  } catch (error) {
    database?.close()
    if (/database is locked/.test(messageOf(error))) return undefined
    throw unusable(path, error)
  }
}

const holderFile = (path: string): string => `${path}.holder`

/**
 * Milliseconds in which a lock without a living holder is tried again, whatever the caller's patience: two who try at once
 * keep each other out for a moment although neither has it, and who has just got it has yet to say so.
 */
const namelessMs = 2000

/**
 * SQLite would make the file for everybody, as far as the umask allows. One that exists is not even opened: closing
 * any descriptor of a file drops all POSIX locks that this process has on it (fcntl(2)).
 */
const createPrivately = (path: string): void => {
  try {
    closeSync(openSync(path, 'ax', 0o600))
    chmodSync(path, 0o600)
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw ioError('make the lock', path, error)
  }
}

/** A lock file is empty; one that holds something was written to by somebody else. */
const unusable = (path: string, error: unknown): VmctlError =>
  /not a database|malformed/.test(messageOf(error))
    ? new VmctlError('vmctl::io', `The lock ${path} is damaged.`, {
        cause: error,
        help: `There is nothing in it to lose: when no other vmctl is at work, remove it with \`rm ${path}\`.`,
      })
    : new VmctlError('vmctl::io', `Cannot lock ${path}: ${messageOf(error)}`, {cause: error})

/** Who holds the lock; undefined when nobody says so, or somebody who was killed. */
const holderOf = (path: string): string | undefined => {
  try {
    const text = readFileSync(holderFile(path), 'utf8')
    const [, pid] = /\(process (\d+)\)$/.exec(text) ?? []
    const isLive = text !== '' && (pid === undefined || exists(Number(pid)))
    return isLive ? stripControls(text).replaceAll(/\s+/g, ' ').slice(0, 200) : undefined
  } catch {
    return undefined
  }
}

const exists = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return systemCode(error) === 'EPERM'
  }
}
