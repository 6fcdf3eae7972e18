import {messageOf} from '../../model/errors.ts'
import {canLogIn} from '../../model/login.ts'
import {noopBackend, type Vm} from '../../model/vm.ts'
import type {Engine} from '../engine.ts'
import {waitForGuest} from '../reach/wait.ts'

/** A guest that does not answer within this time, in milliseconds, is taken as it is. */
const answerMs = 10_000

/**
 * Has a guest write what it has in memory to its disks. What it writes from then until the snapshot may be there by half, as after a
 * power cut, which is what its file systems are made for.
 */
export const flushGuest = async (engine: Engine, vm: Vm): Promise<void> => {
  if (vm.backend === noopBackend || !canLogIn(vm.spec)) return
  const signal = AbortSignal.any([engine.signal, AbortSignal.timeout(answerMs)])
  try {
    const {connection} = await waitForGuest({...engine, signal, emit: () => undefined}, vm, {cloudInit: false})
    try {
      await connection.exec('sync', {signal})
    } finally {
      connection.close()
    }
  } catch (error) {
    engine.signal.throwIfAborted()
    const why = signal.aborted ? 'it does not answer by SSH' : messageOf(error)
    await engine.emit({
      type: 'vm.notice',
      vm: vm.name,
      message: `what its guest has not written to the disk yet is not in the snapshot: ${why}`,
    })
  }
}
