import {setTimeout as sleep} from 'node:timers/promises'

import {elevate} from '../../model/elevate.ts'
import {isVmctlError, VmctlError} from '../../model/errors.ts'
import {formatDuration} from '../../model/quantity.ts'
import type {RebootSettings} from '../../model/steps.ts'
import type {Guest, Provisioner, StepContext} from '../provisioner.ts'
import {keepTail} from '../../host/tail.ts'
import {reboot} from '../programs/index.ts'

const defaultTimeoutMs = 600_000

/** Which boot was to be left. */
interface RebootMemory {
  readonly bootId: string
}

/** `provision "reboot"`: restarts the guest, which is proven by another boot id and by nothing else. */
export const rebootProvisioner: Provisioner<RebootSettings> = {
  type: 'reboot',
  follows: true,

  unkept: () => undefined,

  describe: () => 'reboot',

  facts: async () => ({}),

  async run({timeoutMs = defaultTimeoutMs}, context) {
    const deadline = AbortSignal.timeout(timeoutMs)
    const signal = AbortSignal.any([context.signal, deadline])
    try {
      const left = await leaveBoot({...context, signal})
      const bootId = await nextBoot(left, context.guest, signal)
      await context.output('stdout', Buffer.from(`rebooted: boot ${left} is over, this is ${bootId}\n`))
    } catch (error) {
      if (!deadline.aborted || context.signal.aborted) throw error
      throw new VmctlError(
        'vmctl::provision::timed_out',
        `The guest did not come up with another boot within ${formatDuration(timeoutMs)}.`,
        {
          cause: error,
        },
      )
    }
  },
}

/** Gives the order, unless an earlier vmctl has left that boot already. Given twice to one boot it does no harm. */
const leaveBoot = async (context: StepContext): Promise<string> => {
  const guest = await context.guest()
  const {bootId} = guest
  if (isMemory(context.memory) && context.memory.bootId !== bootId) return context.memory.bootId
  if (bootId === undefined) {
    throw new VmctlError(
      'vmctl::provision::failed',
      'The guest does not tell its boot id, so a reboot could not be proven; it was not rebooted.',
    )
  }
  await context.remember({bootId} satisfies RebootMemory)
  const said = keepTail()
  const exit = await guest.exec(elevate(reboot.text), {onStderr: said.take, signal: context.signal}).catch((error: unknown) => {
    // The connection may end with the boot that it was made to.
    if (isPassing(error)) return {code: 0}
    throw error
  })
  if (exit.code !== 0) {
    throw new VmctlError('vmctl::provision::failed', `The guest refused to reboot: ${said.text().trim() || `status ${exit.code}`}`)
  }
  return bootId
}

/** Waits until a connection reaches another boot. */
const nextBoot = async (left: string, connect: () => Promise<Guest>, signal: AbortSignal): Promise<string> => {
  for (;;) {
    signal.throwIfAborted()
    try {
      const guest = await connect()
      if (guest.bootId !== undefined && guest.bootId !== left) return guest.bootId
      // The old boot still answers. When it is gone, so is this connection; a command is how that is noticed soon.
      await guest.exec('true', {signal: AbortSignal.any([signal, AbortSignal.timeout(5000)])})
    } catch (error) {
      if (!isPassing(error) && !isSilence(error)) throw error
    }
    await sleep(200, undefined, {signal})
  }
}

const isSilence = (error: unknown): boolean => error instanceof Error && error.name === 'TimeoutError'

/** What a guest that goes down or comes up answers for a while. */
const isPassing = (error: unknown): boolean =>
  isVmctlError(error) && ['vmctl::ssh::connection_lost', 'vmctl::ssh::authentication_failed', 'vmctl::ssh::failed'].includes(error.code)

const isMemory = (value: unknown): value is RebootMemory =>
  typeof value === 'object' && value !== null && 'bootId' in value && typeof value.bootId === 'string'
