import {readdir} from 'node:fs/promises'
import {basename, dirname, join} from 'node:path'

import {remove} from '../../host/durable.ts'
import {isTemporaryName, makePrivateDirectory, pathExists} from '../../host/files.ts'
import {acquireLock} from '../../host/lock.ts'
import {run} from '../../host/process.ts'
import {isFailure, VmctlError} from '../../model/errors.ts'
import type {ImageStore} from '../image-store.ts'
import {script} from './script.ts'
import {buildEnvironment} from './tools.ts'

/** Where one build is at work; nobody else is there. */
export interface Workplace extends AsyncDisposable {
  readonly directory: string
  /** What its programs say. It stays after a failure. */
  readonly log: string
}

/**
 * A directory for a build, with nothing in it. What killed builds have left in theirs is removed.
 * @throws VmctlError `vmctl::image::build_failed` when that cannot be removed
 */
export const openWorkplace = async (store: ImageStore, signal: AbortSignal): Promise<Workplace> => {
  const parent = join(dirname(store.directory), 'builds')
  await makePrivateDirectory(parent)
  for (let number = 1; ; number++) {
    const lock = await lockOf(store, number, signal)
    if (!lock) continue
    const directory = join(parent, `${number}`)
    try {
      await sweepOthers(store, {parent, own: number}, signal)
      await removeTree(directory)
      await remove(`${directory}.log`)
      await makePrivateDirectory(directory)
    } catch (error) {
      await lock[Symbol.asyncDispose]()
      throw error
    }
    return {
      directory,
      log: `${directory}.log`,
      async [Symbol.asyncDispose]() {
        // What stays is for the next build, and no reason to forget what went wrong before.
        await removeTree(directory).catch(() => undefined)
        await lock[Symbol.asyncDispose]()
      },
    }
  }
}

/** The lock of a workplace; undefined when somebody is at work there. */
const lockOf = async (store: ImageStore, number: number, signal: AbortSignal) => {
  try {
    return await acquireLock(join(store.lockDirectory, `build-${number}.lock`), {purpose: 'image build', timeoutMs: 0, signal})
  } catch (error) {
    if (isFailure(error, 'vmctl::vm::locked')) return undefined
    throw error
  }
}

const sweepOthers = async (
  store: ImageStore,
  {parent, own}: {readonly parent: string; readonly own: number},
  signal: AbortSignal,
): Promise<void> => {
  for (const name of await readdir(parent)) {
    if (!/^\d+$/.test(name) || Number(name) === own) continue
    await using lock = await lockOf(store, Number(name), signal)
    if (lock) await removeTree(join(parent, name))
  }
}

/** Parts of it may belong to subordinate ids of this user, and processes that were ended just now may still write. */
const removeTree = async (directory: string): Promise<void> => {
  if (!(await pathExists(directory))) return
  const {exitCode, stderr} = await run(script, ['--remove', directory], {env: buildEnvironment()})
  if (exitCode === 0) return
  throw new VmctlError('vmctl::image::build_failed', `What a build has left in ${directory} cannot be removed: ${stderr.trim()}`, {
    help: `Remove it as root: \`sudo rm -rf ${directory}\`.`,
  })
}

/** Where the packages of an image are listed. */
export const listOf = (output: string): string => `${output}.packages`

/** Removes what builds that were killed at their very end have left beside their output. */
export const sweepOutput = async (output: string): Promise<void> => {
  const directory = dirname(output)
  for (const name of await readdir(directory).catch(() => [])) {
    const pid = Number(/\.(\d+)\.[0-9a-f]{12}\.tmp$/.exec(name)?.[1])
    const isOurs = [output, listOf(output)].some((path) => name.startsWith(`.${basename(path)}.${pid}.`))
    if (isOurs && isTemporaryName(name) && !isAlive(pid)) await remove(join(directory, name))
  }
}

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
