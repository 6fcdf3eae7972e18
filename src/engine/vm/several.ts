import {lockVm} from '../../store/store.ts'
import type {Engine} from '../engine.ts'

/** Long enough for another command to finish with a VM, short enough for a person to wait. */
const patienceMs = 60_000

/** Takes the locks of VMs, always in the same order, so that no two commands wait for each other. */
export const lockVms = async (engine: Engine, names: readonly string[], purpose: string): Promise<AsyncDisposable> => {
  const locks = new AsyncDisposableStack()
  try {
    for (const name of names.toSorted()) {
      locks.use(
        await lockVm(engine.store, name, {
          purpose,
          timeoutMs: engine.lockTimeoutMs ?? patienceMs,
          signal: engine.signal,
          onWait: (holder) => void engine.emit({type: 'lock.waiting', vm: name, holder}),
        }),
      )
    }
    return locks
  } catch (error) {
    await locks.disposeAsync()
    throw error
  }
}

/** Does something for all, side by side, and waits for all of them even when one fails. */
export const forAll = async <T>(all: readonly T[], action: (one: T) => Promise<void>): Promise<void> => {
  const failed = (await Promise.allSettled(all.map(action))).find(({status}) => status === 'rejected')
  if (failed?.status === 'rejected') throw failed.reason
}
