import type {Action} from '../engine/plan/vm-plan.ts'
import type {EngineEvent, Rung} from '../engine/events.ts'
import {formatDuration, formatSize} from '../model/quantity.ts'
import {formatError} from './diagnostics.ts'
import {imageMeter} from './image-meter.ts'
import {guestOutput} from './guest-output.ts'
import {openSpinner} from './spinner.ts'
import {isVmctlError, messageOf} from '../model/errors.ts'

/** Shows what the engine tells, on standard error; a guest's own output goes where the guest sent it. */
export interface Progress {
  show(event: EngineEvent): void | Promise<void>
  /** Writes something of the command itself, while the live line is away. */
  above<T>(write: () => T): T
  close(): void
}

const doing: Readonly<Record<Action, string>> = {
  'fetch-image': 'fetching the image',
  create: 'creating',
  recreate: 'recreating',
  update: 'updating',
  stop: 'stopping',
  start: 'starting',
  resume: 'resuming',
  configure: 'setting up the guest',
  wait: 'waiting for the guest',
  provision: 'provisioning',
  'check-health': 'checking its health',
  destroy: 'destroying',
}

const done: Readonly<Record<Action, string>> = {
  'fetch-image': 'image fetched',
  create: 'created',
  recreate: 'recreated',
  update: 'updated',
  stop: 'stopped',
  start: 'started',
  resume: 'resumed',
  configure: 'guest set up',
  wait: 'ready',
  provision: 'provisioned',
  'check-health': 'healthy',
  destroy: 'destroyed',
}

const waitingFor: Partial<Record<Rung, string>> = {
  process: 'waiting for the guest to boot',
  tcp: 'waiting for SSH to greet',
  banner: 'checking the host key',
  'host-key': 'logging in',
  authentication: 'logged in',
  'boot-id': 'waiting for cloud-init',
}

/** Under `--json` standard output is for the result: everything is a plain line on standard error then. */
export const openProgress = ({json}: {readonly json: boolean}): Progress => {
  const spinner = openSpinner(process.stderr, {isPlain: json})
  const colour = process.stderr.hasColors?.() === true && !process.env.NO_COLOR
  const say = (vm: string | undefined, text: string): void => {
    spinner.print(vm === undefined ? text : `${vm}: ${text}`)
  }
  const meter = imageMeter({
    status: (vm, text) => spinner.status(vm, 'image', text),
    end: (vm) => spinner.end(vm, 'image'),
    say,
    isLive: spinner.isLive,
  })
  const output = guestOutput(spinner)

  return {
    show(event) {
      const {vm} = event
      const name = vm ?? ''
      switch (event.type) {
        case 'plan.ready':
          for (const {action, cause} of event.plan.steps) say(vm, `will ${action} (${cause})`)
          for (const notice of event.plan.notices) say(vm, notice)
          return undefined
        case 'action.begin':
          spinner.status(name, 'action', doing[event.action])
          return undefined
        case 'action.end':
          spinner.end(name, 'action')
          say(vm, `${done[event.action]} in ${formatDuration(event.durationMs ?? 0)}`)
          return undefined
        case 'guest.rung': {
          const text = waitingFor[event.rung]
          if (text !== undefined) spinner.status(name, 'guest', text)
          return undefined
        }
        case 'guest.waited':
          spinner.end(name, 'guest')
          return undefined
        case 'health.checked': {
          const {last} = event.health
          if (last.isGood) spinner.end(name, 'health')
          else spinner.status(name, 'health', `not healthy yet: ${last.output.split('\n').at(-1) || `exit code ${last.exitCode}`}`)
          return undefined
        }
        case 'copy.progress': {
          const of = event.totalBytes === undefined ? '' : ` of ${formatSize(event.totalBytes)}`
          spinner.status(name, 'copy', `copying ${formatSize(event.bytes)}${of}`)
          return undefined
        }
        case 'copy.done':
          spinner.end(name, 'copy')
          return undefined
        case 'vm.notice':
          say(vm, event.message)
          return undefined
        case 'vm.failed':
          spinner.end(name)
          say(vm, 'failed')
          spinner.print((isVmctlError(event.error) ? formatError(event.error, {colour}) : messageOf(event.error)).trimEnd())
          return undefined
        case 'lock.waiting':
          say(vm, `waiting for another vmctl: ${event.holder}`)
          return undefined
        case 'provision.step':
          output.begin(name)
          say(vm, `step ${event.step}/${event.total} ${event.resumed ? 'goes on' : 'runs'}: ${event.title}`)
          spinner.status(name, 'step', `step ${event.step}/${event.total}: ${event.title}`)
          return undefined
        case 'provision.intact':
          say(vm, `step ${event.step}/${event.total} is still there: ${event.title}`)
          return undefined
        case 'provision.abandoned':
          if (event.step === undefined) say(vm, `a step that is no longer declared was ended in the guest (${event.title})`)
          else say(vm, `step ${event.step}: its earlier run was ended in the guest (${event.title})`)
          return undefined
        case 'provision.output':
          return output.write(name, json ? {...event, stream: 'stderr'} : event)
        case 'provision.done':
          output.end(name)
          spinner.end(name, 'step')
          say(vm, `step ${event.step} done in ${formatDuration(event.durationMs)}`)
          return undefined
        case 'image.waiting':
        case 'image.progress':
        case 'image.retrying':
        case 'image.decompressing':
        case 'image.ready':
          meter(event)
          return undefined
      }
    },
    above: spinner.above,
    close() {
      output.close()
      spinner.close()
    },
  }
}
