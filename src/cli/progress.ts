import type {EngineEvent} from '../engine/events.ts'
import {isFailure, isVmctlError, messageOf} from '../model/errors.ts'
import {formatDuration, formatSize} from '../model/quantity.ts'
import {formatError} from './diagnostics.ts'
import {guestOutput} from './guest-output.ts'
import {imageMeter} from './image-meter.ts'
import {awaitedText, doing, done, guestText, isTold, outcomeOf, planned, timesText, verbs} from './progress-words.ts'
import {openSurface, type Surface} from './surface.ts'
import {type VmWatch, watchVm} from './vm-times.ts'

/** Shows what the engine tells, on standard error; a guest's own output goes where the guest sent it. */
export interface Progress {
  show(event: EngineEvent): void | Promise<void>
  /** Writes something of the command itself, while the rows are away. */
  above<T>(write: () => T): T
  /** Leaves the rows on the terminal as they are now; `failure` is what has ended the command. */
  close(failure?: unknown): Promise<void>
}

type Of<Type extends EngineEvent['type']> = Extract<EngineEvent, {type: Type}>

/** What is known of one VM while events about it are shown. */
interface Scene {
  readonly vm: string
  readonly surface: Surface
  readonly watch: VmWatch
  say(text: string): void
  /** What a row tells by itself, where there are rows. */
  sayPlain(text: string): void
  /** Says once which VMs wait for others: as soon as there is something to wait for. */
  sayWaits(): void
}

/** Under `--json` standard output is for the result: everything is a plain line on standard error then. */
export const openProgress = ({json}: {readonly json: boolean}): Progress => {
  const surface = openSurface(process.stderr, {isPlain: json})
  const {rows} = surface
  const watches = new Map<string, VmWatch>()
  let isWaitSaid = false
  const sayOf = (vm: string | undefined, text: string): void => surface.say(vm === undefined || vm === '' ? text : `${vm}: ${text}`)
  const meter = imageMeter({
    status: (vm, text) => rows.set(vm, 'image', text),
    end: (vm) => rows.end(vm, 'image'),
    say: sayOf,
    isLive: surface.isLive,
  })
  const output = guestOutput(surface)
  const sceneOf = (vm: string, event: EngineEvent): Scene => {
    if (event.type === 'vm.begin') watches.delete(vm)
    const watch = watches.get(vm) ?? watchVm()
    watches.set(vm, watch)
    watch.note(event)
    return {
      vm,
      surface,
      watch,
      say: (text) => sayOf(vm, text),
      sayPlain: (text) => {
        if (!surface.isLive) sayOf(vm, text)
      },
      sayWaits: () => {
        if (isWaitSaid || surface.isLive) return
        isWaitSaid = true
        for (const {name, mark, text, awaited} of rows.all()) if (mark === 'waiting' && awaited > 0) sayOf(name, text)
      },
    }
  }

  const show = (event: Exclude<EngineEvent, Of<'provision.output'>>): void | Promise<void> => {
    const vm = event.vm ?? ''
    const scene = sceneOf(vm, event)
    switch (event.type) {
      case 'vm.queued':
        output.begin(vm)
        return rows.queue(
          vm,
          event.after.map((one) => ({vm: one.vm, text: awaitedText(one)})),
        )
      case 'provision.step':
        output.begin(vm)
        return showStep(scene, event)
      case 'provision.done':
        output.end(vm)
        rows.end(vm, 'step')
        return scene.sayPlain(`step ${event.step} done in ${formatDuration(event.durationMs)}`)
      case 'image.waiting':
      case 'image.queued':
      case 'image.progress':
      case 'image.retrying':
      case 'image.decompressing':
      case 'image.packing':
      case 'image.pushing':
      case 'image.pushed':
      case 'image.building':
      case 'image.ready':
        return meter(event)
      default:
        return showVm(scene, event)
    }
  }
  return {
    show(event) {
      // Comes in thousands, and changes no row.
      if (event.type === 'provision.output') return output.write(event.vm ?? '', json ? {...event, stream: 'stderr'} : event)
      const result = show(event)
      surface.update()
      return result
    },
    above: surface.above,
    async close(failure) {
      output.close()
      rows.finishAll(isFailure(failure, 'vmctl::interrupted') ? 'interrupted' : 'failed', 'not begun')
      await surface.close()
    },
  }
}

type VmEvent = Exclude<
  EngineEvent,
  Of<'vm.queued' | 'provision.step' | 'provision.output' | 'provision.done'> | {readonly type: `image.${string}`}
>

const showVm = (scene: Scene, event: VmEvent): void => {
  const {vm, say, sayPlain, watch} = scene
  const {rows} = scene.surface
  switch (event.type) {
    case 'vm.begin':
      return rows.begin(vm)
    case 'vm.done':
      return showDone(scene)
    case 'vm.failed':
      return showFailed(scene, event.error)
    case 'plan.ready':
      return showPlan(scene, event)
    case 'verb.begin':
      rows.end(vm, 'lock')
      return rows.set(vm, 'verb', verbs[event.verb])
    case 'verb.end':
      return rows.end(vm, 'verb')
    case 'lock.waiting':
      rows.set(vm, 'lock', `waiting for another vmctl: ${event.holder}`)
      return sayPlain(`waiting for another vmctl: ${event.holder}`)
    case 'vm.notice':
      return say(event.message)
    case 'action.begin':
      scene.sayWaits()
      return rows.set(vm, 'action', doing[event.action])
    case 'action.end':
      rows.end(vm, 'action')
      // That the guest has booted is said already.
      if (event.action === 'wait' && watch.facts.bootedMs !== undefined) return undefined
      return sayPlain(`${done[event.action]} ${formatDuration(watch.tookMs(event.action, event.durationMs ?? 0))}`)
    case 'guest.milestone':
    case 'guest.console':
    case 'guest.waited':
      return showGuest(scene, event)
    default:
      return showWork(scene, event)
  }
}

const showWork = (
  {vm, say, sayPlain, surface: {rows}}: Scene,
  event: Extract<VmEvent, {type: 'health.checked' | 'layer.kept' | `copy.${string}` | `provision.${string}`}>,
): void => {
  switch (event.type) {
    case 'health.checked': {
      const {last} = event.health
      if (last.isGood) return rows.end(vm, 'health')
      return rows.set(vm, 'health', `checking health: ${last.output.trimEnd().split('\n').at(-1) || `exit code ${last.exitCode}`}`)
    }
    case 'copy.progress': {
      const of = event.totalBytes === undefined ? '' : ` of ${formatSize(event.totalBytes)}`
      return rows.set(vm, 'copy', `copying ${formatSize(event.bytes)}${of}`)
    }
    case 'copy.done':
      return rows.end(vm, 'copy')
    case 'layer.kept':
      return sayPlain(`a layer of the disk is kept after step ${event.step}`)
    case 'provision.intact':
      return sayPlain(`step ${event.step} of ${event.total} is still there: ${event.title}`)
    case 'provision.abandoned':
      if (event.step === undefined) return say(`a step that is no longer declared was ended in the guest (${event.title})`)
      return say(`step ${event.step}: its earlier run was ended in the guest (${event.title})`)
  }
}

const showPlan = ({vm, say, surface: {rows, isLive}}: Scene, {plan: {steps, notices}}: Of<'plan.ready'>): void => {
  rows.end(vm, 'lock')
  for (const {action, cause} of steps) if (!isLive || isTold.has(action)) say(`will ${planned[action]} (${cause})`)
  // Where nothing is to be done the row says why.
  const isInRow = isLive && steps.length === 0 && rows.isKept(vm)
  for (const notice of isInRow ? notices.slice(1) : notices) say(notice)
}

const showGuest = (
  {vm, watch: {facts}, sayPlain, surface: {rows}}: Scene,
  event: Of<'guest.milestone' | 'guest.console' | 'guest.waited'>,
): void => {
  if (event.type === 'guest.waited') return rows.end(vm, 'guest')
  if (event.type === 'guest.milestone' && event.milestone === 'ready') {
    rows.end(vm, 'guest')
    if (facts.bootedMs !== undefined && facts.isBooting) sayPlain(`booted in ${formatDuration(facts.bootedMs)}`)
    return
  }
  rows.set(vm, 'guest', guestText(facts))
  // A kernel counts the seconds itself.
  rows.detail(vm, 'guest', facts.line.replace(/^\[ *\d+\.\d+\] /, ''))
}

const showStep = ({vm, say, surface: {rows}}: Scene, {step, total, title, resumed}: Of<'provision.step'>): void => {
  say(`step ${step} of ${total}${resumed ? ' goes on' : ''}: ${title}`)
  rows.set(vm, 'step', `step ${step} of ${total}: ${title}`)
}

const showDone = ({vm, watch: {facts}, sayPlain, surface: {rows}}: Scene): void => {
  const text = outcomeOf(facts.plan)
  rows.finish(vm, {mark: 'done', text, detail: timesText(facts)})
  // A single action has said so itself.
  if (facts.plan && facts.plan.steps.length > 1) sayPlain(`${text} after ${formatDuration(facts.totalMs)}`)
}

const showFailed = ({vm, sayPlain, surface}: Scene, error: unknown): void => {
  const isLeftAlone = isFailure(error, 'vmctl::vm::dependency_failed')
  surface.rows.finish(vm, {mark: 'failed', text: isLeftAlone ? 'not begun' : 'failed', detail: messageOf(error).replace(`${vm}: `, '')})
  surface.rows.end(vm)
  sayPlain(isLeftAlone ? 'not begun' : 'failed')
  surface.print((isVmctlError(error) ? formatError(error, surface.screen()) : messageOf(error)).trimEnd())
}
