import {type ProcessIdentity, waitForEnd} from '../../host/proc.ts'
import {vmFiles} from '../../model/layout.ts'
import type {Vm} from '../../model/vm.ts'
import {endProcess} from './process.ts'
import {connectQmp, type QmpClient} from './qmp.ts'

/** A guest that still boots ignores the power button, so it is pressed again. */
const pressAgainMs = 4000

/**
 * The stop ladder: ACPI power button by QMP, then SIGTERM, then SIGKILL. Resolves when the process is certainly gone.
 * A paused guest would acknowledge the button and never see it, so it is resumed first.
 */
export const powerDown = async (vm: Vm, running: ProcessIdentity, options: {timeoutMs: number; signal: AbortSignal}): Promise<void> => {
  const deadline = performance.now() + options.timeoutMs
  if (options.timeoutMs > 0) {
    await press(vm, deadline, options.signal)
    if (await waitForEnd(running, Math.max(0, deadline - performance.now()), options.signal)) return
  }
  await endProcess(running)
}

/** Presses the power button until QEMU closes its monitor, which it does when it ends, or until the deadline. */
const press = async (vm: Vm, deadline: number, signal: AbortSignal): Promise<void> => {
  let qmp: QmpClient
  try {
    qmp = await connectQmp(vmFiles(vm.directory).monitorSocket, {timeoutMs: 5000, signal})
  } catch {
    signal.throwIfAborted()
    return
  }
  using client = qmp
  let gone = false
  void client.closed.then(() => {
    gone = true
  })
  try {
    const status = await client.execute('query-status')
    const name = typeof status === 'object' && status !== null && 'status' in status ? status.status : ''
    if (name === 'suspended') await client.execute('system_wakeup')
    else if (name !== 'running') await client.execute('cont')
    while (!gone && performance.now() < deadline) {
      signal.throwIfAborted()
      await client.execute('system_powerdown')
      // A pause that is not ended would keep this process alive for seconds after the guest is off.
      const over = new AbortController()
      await Promise.race([
        client.closed,
        pause(Math.min(pressAgainMs, deadline - performance.now()), AbortSignal.any([signal, over.signal])),
      ])
      over.abort()
    }
  } catch {
    // A monitor that refuses or stays silent is no reason to give up: the next rung of the ladder needs none.
    signal.throwIfAborted()
  }
}

/** Resolves after a time, or as soon as the signal is aborted. */
const pause = (milliseconds: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, Math.max(0, milliseconds))
    signal.addEventListener(
      'abort',
      () => {
        clearTimeout(timer)
        resolve()
      },
      {once: true},
    )
  })
