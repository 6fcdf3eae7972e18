import {randomBytes} from 'node:crypto'
import {readdir} from 'node:fs/promises'
import {join} from 'node:path'

import {remove} from '../host/durable.ts'
import {makePrivateDirectory, readIfExists, writeFileAtomic} from '../host/files.ts'
import {acquireLock, type Lock} from '../host/lock.ts'
import {seal, unseal} from '../host/sealed.ts'
import {isFailure} from '../model/errors.ts'
import type {Store} from './store.ts'

/** VMs that began where others were, in a state directory of their own below that of the others. */
export interface Fork {
  /** Six hexadecimal digits. */
  readonly id: string
  /** Absolute path of its state directory. */
  readonly directory: string
  /** Names of its VMs, here and there; empty when its record cannot be read. */
  readonly vms: readonly string[]
  /** Whether it stays when who has made it ends. */
  readonly keep: boolean
}

const placeOf = (store: Store): string => join(store.directory, 'forks')
const directoryOf = (store: Store, id: string): string => join(placeOf(store), id)
const recordOf = (directory: string): string => join(directory, 'fork.json')

const isForkId = (id: string): boolean => /^[0-9a-f]{6}$/.test(id)

/** Makes the directory of a fork, and says in it what it is of, before anything else is there. */
export const makeFork = async (store: Store, given: Pick<Fork, 'id' | 'vms' | 'keep'>): Promise<Fork> => {
  const fork = {...given, directory: directoryOf(store, given.id)}
  await makePrivateDirectory(placeOf(store))
  await makePrivateDirectory(fork.directory)
  await writeFileAtomic(recordOf(fork.directory), seal({schema: 1, vms: fork.vms, keep: fork.keep}))
  return fork
}

export const newForkId = (): string => randomBytes(3).toString('hex')

/**
 * Held by who makes, uses or removes a fork.
 * @throws VmctlError `vmctl::vm::locked` when another one does
 */
export const lockFork = (store: Store, id: string): Promise<Lock> =>
  acquireLock(join(store.lockDirectory, `fork-${id}`), {purpose: `vmctl try (fork ${id})`, timeoutMs: 0})

/** Forgets the lock of a fork that is no more: another one has another name. */
export const forgetForkLock = (store: Store, id: string): Promise<void> => remove(join(store.lockDirectory, `fork-${id}`))

export const listForks = async (store: Store): Promise<readonly Fork[]> => {
  const names = await readdir(placeOf(store)).catch(() => [])
  return Promise.all(names.filter(isForkId).map((id) => readFork(store, id)))
}

const readFork = async (store: Store, id: string): Promise<Fork> => {
  const directory = directoryOf(store, id)
  return {id, directory, ...parse((await readIfExists(recordOf(directory))) ?? '')}
}

const parse = (text: string): Pick<Fork, 'vms' | 'keep'> => {
  try {
    const value = unseal(text)
    if (isRecord(value)) return value
  } catch {
    // What was made of it is of no use.
  }
  return {vms: [], keep: false}
}

const isRecord = (value: unknown): value is Pick<Fork, 'vms' | 'keep'> =>
  typeof value === 'object' &&
  value !== null &&
  'vms' in value &&
  Array.isArray(value.vms) &&
  value.vms.every((name) => typeof name === 'string') &&
  'keep' in value &&
  typeof value.keep === 'boolean'

/** The forks that nobody is at work on: kept ones, and those that a killed command has left. */
export const idleForks = async (store: Store): Promise<readonly Fork[]> => {
  const idle: Fork[] = []
  for (const fork of await listForks(store)) {
    try {
      await using _lock = await lockFork(store, fork.id)
      idle.push(fork)
    } catch (error) {
      if (!isFailure(error, 'vmctl::vm::locked')) throw error
    }
  }
  return idle
}
