import {join} from 'node:path'

import {acquireLock, type Lock} from '../host/lock.ts'
import {type Store, vmDirectory} from './store.ts'

/** A serial console serves one user: a second one would be connected and see nothing. */
export const lockConsole = (store: Store, name: string, signal: AbortSignal): Promise<Lock> => {
  vmDirectory(store, name)
  return acquireLock(join(store.lockDirectory, `console-${name}`), {purpose: `vmctl console ${name}`, timeoutMs: 0, signal})
}
