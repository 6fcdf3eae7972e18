import {type ProcessIdentity, waitForEnd} from '../../host/proc.ts'
import {qemuFiles} from './files.ts'
import {formatDuration} from '../../model/quantity.ts'
import type {Vm} from '../../model/vm.ts'
import {endProcess} from './process.ts'
import {connectQmp, type QmpClient} from './qmp.ts'

/** A guest that still boots ignores the power button, so it is pressed again. */
const pressAgainMs = 4000

/** What QEMU may take to end by itself, in milliseconds. */
const endingMs = 2000

/**
 * The stop ladder: ACPI power button by QMP, then SIGTERM, then SIGKILL. Resolves when the process is certainly gone.
 * A paused guest would acknowledge the button and never see it, so it is resumed first.
 * @returns why the guest was forced off; undefined when it powered off by itself, or was given no time to
 */
export const powerDown = async (
  vm: Vm,
  running: ProcessIdentity,
  {timeoutMs, signal}: {timeoutMs: number; signal: AbortSignal},
): Promise<string | undefined> => {
  const deadline = performance.now() + timeoutMs
  const isPressed = timeoutMs > 0 && (await press(vm, deadline, signal))
  // Nobody waits for a guest that was not asked; but a monitor is also out of reach of a QEMU that is just ending.
  const restMs = isPressed ? deadline - performance.now() : Math.min(timeoutMs, endingMs)
  if (await waitForEnd(running, Math.max(0, restMs), signal)) return undefined
  await endProcess(running)
  if (timeoutMs === 0) return undefined
  return isPressed ? `it did not power off within ${formatDuration(timeoutMs)}` : 'its power button could not be reached'
}

/**
 * Presses the power button until QEMU closes its monitor, which it does when it ends, or until the deadline.
 * @returns whether the button was reached
 */
const press = async (vm: Vm, deadline: number, signal: AbortSignal): Promise<boolean> => {
  let qmp: QmpClient
  try {
    qmp = await connectQmp(qemuFiles(vm.directory).monitorSocket, {timeoutMs: 5000, signal})
  } catch {
    signal.throwIfAborted()
    return false
  }
  using client = qmp
  let gone = false
  let isPressed = false
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
      isPressed = true
      // A pause that is not ended would keep this process alive for seconds after the guest is off.
      const over = new AbortController()
      await Promise.race([
        client.closed,
        pause(Math.min(pressAgainMs, deadline - performance.now()), AbortSignal.any([signal, over.signal])),
      ])
      over.abort()
    }
  } catch {
    // A monitor that refuses or stays silent is no reason to give up: the next way to stop it needs none.
    signal.throwIfAborted()
  }
  return isPressed
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
