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
  /** Called once when another process holds the lock. */
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
  const deadline = Date.now() + options.timeoutMs
  const holderFile = `${path}.holder`
  let told = false
  createPrivately(path)
  for (let pause = 10; ; pause = Math.min(pause * 1.5, 200)) {
    options.signal?.throwIfAborted()
    let database: InstanceType<typeof DatabaseSync> | undefined
    try {
      const opened = new DatabaseSync(path, {timeout: 0})
      database = opened
      opened.exec('BEGIN EXCLUSIVE')
      writeFileSync(holderFile, `${options.purpose} (process ${process.pid})`, {mode: 0o600})
      return {
        path,
        async [Symbol.asyncDispose]() {
          rmSync(holderFile, {force: true})
          opened.close()
        },
      }
    } catch (error) {
      database?.close()
      if (!/database is locked/.test(messageOf(error))) throw unusable(path, error)
    }
    if (!told) {
      told = true
      options.onWait?.(holderOf(holderFile))
    }
    if (Date.now() >= deadline) {
      throw new VmctlError('vmctl::vm::locked', `Another vmctl is at work here: ${holderOf(holderFile)}.`, {
        details: {lock: path, holder: holderOf(holderFile)},
      })
    }
    await sleep(pause + Math.random() * 10, undefined, options.signal ? {signal: options.signal} : {}).catch((error: unknown) => {
      options.signal?.throwIfAborted()
      throw error
    })
  }
}

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

const unnamed = 'an unnamed process'

const holderOf = (holderFile: string): string => {
  try {
    return stripControls(readFileSync(holderFile, 'utf8')).replaceAll(/\s+/g, ' ').slice(0, 200) || unnamed
  } catch {
    return unnamed
  }
}
