import {setTimeout as sleep} from 'node:timers/promises'

import {probe} from '../../guest/health.ts'
import {peekGuest} from '../../guest/record.ts'
import type {GuestConnection} from '../../guest/ssh/connection.ts'
import {awaitGreeting} from '../../guest/ssh/greeting.ts'
import {isVmctlError, messageOf, VmctlError} from '../../model/errors.ts'
import {advance, type Health, type HealthStatus, type ProbeResult} from '../../model/health.ts'
import type {Healthcheck} from '../../model/health.ts'
import {canLogIn} from '../../model/login.ts'
import type {PortForward} from '../../model/port.ts'
import {formatDuration} from '../../model/quantity.ts'
import type {Saved} from '../../model/saveable.ts'
import type {Observation, Vm, VmState} from '../../model/vm.ts'
import {listVmNames, readVm} from '../../store/store.ts'
import {findOrphans} from '../converge/orphans.ts'
import {type Engine, hypervisorOf, observe} from '../engine.ts'
import type {Vmfile} from '../load.ts'
import {selectVms} from '../plan/select.ts'
import {readHealth, writeHealth} from '../reach/health-record.ts'
import {turns} from '../reach/health.ts'
import {waitForGuest, type WaitOptions} from '../reach/wait.ts'
import {problemsOf} from '../resources/carriers.ts'
import {interfacesOf} from '../resources/interfaces.ts'

/** One VM in `vmctl ps`; the `--json` shape of an element. */
export interface PsRow {
  readonly name: string
  readonly project?: string
  readonly service?: string
  /** `destroyed` for a VM of the VMFile that does not exist. */
  readonly state: VmState | 'unknown'
  /** Absent for a VM that does not exist. */
  readonly backend?: string
  /** Why the guest is paused although nobody has suspended it. */
  readonly pause?: string
  /** Since when the guest is saved, and what its memory takes on disk. */
  readonly saved?: Saved
  /** Of a running VM into which vmctl can log in: whether its guest has come so far. */
  readonly readiness?: 'starting' | 'ready'
  /** The VMFile has made it and no longer defines it. */
  readonly isOrphan?: true
  /** Of a running VM that has a health check. */
  readonly health?: HealthStatus
  /** Failures in a row, and how many of them make it unhealthy. */
  readonly failures?: number
  readonly retries?: number
  /** The last thing that the health check said. */
  readonly output?: string
  /** On declared networks and on bridges, as far as they are known. */
  readonly ips: readonly string[]
  readonly vcpus?: number
  readonly memoryMiB?: number
  readonly diskBytes?: number
  readonly ports: readonly PortForward[]
  /** What a VM that runs has lost meanwhile, and how it comes back. */
  readonly problems?: readonly string[]
  /** Why the VM cannot be told about. */
  readonly error?: string
}

export interface PsScope {
  /** All VMs of this user, or those that are named, when absent. */
  readonly vmfile?: Vmfile | undefined
  readonly names?: readonly string[]
}

/** Looks at VMs, again and again if need be; connections to guests are kept meanwhile. */
export interface Ps extends Disposable {
  /** All at once. Takes no lock; a VM that is broken or does not answer delays and hides no other. */
  look(): Promise<readonly PsRow[]>
}

export interface PsOptions {
  /** Milliseconds until a guest must have let us in. */
  readonly connectMs?: number
  /** Whether a guest that was never seen ready is asked whether it is by now, which logs in to it while it may still boot. */
  readonly asksNew?: boolean
}

/** How long a guest may take to greet before it counts as still starting. */
const greetingMs = 2000

export const openPs = (engine: Engine, scope: PsScope, {connectMs = 15_000, asksNew = false}: PsOptions = {}): Ps => {
  const connections = new Map<string, GuestConnection>()
  const forget = (id: string): void => {
    connections.get(id)?.close()
    connections.delete(id)
  }
  /** Of a guest that was ready before; a first boot is not disturbed, unless `options` wait for it. */
  const connect = async (vm: Vm, options: WaitOptions = {cloudInit: false}): Promise<GuestConnection> => {
    const known = connections.get(vm.id)
    if (known) return known
    const quiet: Engine = {...engine, emit: () => undefined, signal: AbortSignal.any([engine.signal, AbortSignal.timeout(connectMs)])}
    const {connection} = await waitForGuest(quiet, vm, options)
    connections.set(vm.id, connection)
    connection.closed.catch(() => connections.delete(vm.id))
    return connection
  }
  const test = async (vm: Vm, check: Healthcheck): Promise<Health | undefined> => {
    const before = await readHealth(vm)
    let result: ProbeResult
    try {
      result = await probe(await connect(vm), check, {env: vm.spec.env ?? {}, signal: engine.signal})
    } catch (error) {
      engine.signal.throwIfAborted()
      forget(vm.id)
      // A guest that nobody has reached since its start is still booting.
      if (!before) return undefined
      result = {isGood: false, output: explain(error, connectMs), durationMs: 0}
    }
    const health = advance(before, {vm: vm.id, check, result, at: new Date()})
    if (await isStillThere(engine, vm)) await writeHealth(vm, health).catch(() => undefined)
    return health
  }
  const greets = async (vm: Vm): Promise<boolean> => {
    const signal = AbortSignal.any([engine.signal, AbortSignal.timeout(greetingMs)])
    const stream = await (await hypervisorOf(engine, vm)).dial(vm, 22, {signal})
    try {
      await awaitGreeting(stream, {timeoutMs: greetingMs, signal})
      return true
    } finally {
      stream.destroy()
    }
  }
  const isReady = async (vm: Vm, wasReady: boolean): Promise<boolean> => {
    if (connections.has(vm.id)) return true
    try {
      if (wasReady) return await greets(vm)
      if (asksNew) await connect(vm, {})
      return asksNew
    } catch {
      // Whatever keeps us from the guest, it is not ready for anybody.
      engine.signal.throwIfAborted()
      return false
    }
  }
  return {
    async look() {
      const {vmfile, names} = scope
      const wanted = vmfile ? selectVms(vmfile, names).map((spec) => spec.name) : names?.length ? names : await listVmNames(engine.store)
      const orphans = vmfile && !names?.length ? (await findOrphans(engine, vmfile)).map(({vm}) => vm) : []
      const rows = await Promise.all([...wanted, ...orphans].map((name) => rowOf(engine, name, {test, isReady})))
      return rows.map((row, index) => (index < wanted.length ? row : {...row, isOrphan: true}))
    },
    [Symbol.dispose]() {
      for (const id of connections.keys()) forget(id)
    },
  }
}

const explain = (error: unknown, connectMs: number): string => {
  if (error instanceof DOMException && error.name === 'TimeoutError') return `SSH did not answer within ${formatDuration(connectMs)}.`
  if (isVmctlError(error)) return error.message
  throw error
}

/** Whether a result may be kept: not when the VM was stopped, or made anew, while its guest was asked. */
const isStillThere = async (engine: Engine, vm: Vm): Promise<boolean> => {
  const now = await readVm(engine.store, vm.name).catch(() => undefined)
  return now?.id === vm.id && (await observe(engine, now)).state === 'running'
}

type Test = (vm: Vm, check: Healthcheck) => Promise<Health | undefined>

interface Tests {
  readonly test: Test
  /** `wasReady`: whether its guest was ever seen ready. */
  readonly isReady: (vm: Vm, wasReady: boolean) => Promise<boolean>
}

const rowOf = async (engine: Engine, name: string, tests: Tests): Promise<PsRow> => {
  try {
    const vm = await readVm(engine.store, name)
    if (!vm) return {name, state: 'destroyed', ips: [], ports: []}
    const observation = await observe(engine, vm)
    const [problems, interfaces] = await Promise.all([problemsOf(engine, vm, observation), interfacesOf(engine, vm, observation)])
    return {
      ...factsOf(vm, observation),
      ips: interfaces.flatMap(({ip}) => ip ?? []),
      ...(problems.length > 0 && {problems}),
      ...(observation.state === 'running' && (await guestOf(vm, tests))),
    }
  } catch (error) {
    engine.signal.throwIfAborted()
    return {name, state: 'unknown', ips: [], ports: [], error: isVmctlError(error) ? `${error.message} ${error.help}` : messageOf(error)}
  }
}

const factsOf = ({name, backend, spec, base, saved}: Vm, {state, pause, ports}: Observation): Omit<PsRow, 'ips'> => ({
  name,
  ...(spec.project !== undefined && {project: spec.project}),
  ...(spec.service !== undefined && {service: spec.service}),
  state,
  backend,
  ...(pause !== undefined && {pause}),
  ...(saved && {saved}),
  vcpus: spec.vcpus,
  memoryMiB: spec.memoryMiB,
  diskBytes: Math.max(spec.diskBytes ?? 0, base.virtualSizeBytes),
  ports: ports ?? spec.ports ?? [],
})

/** How far the guest of a VM that runs has come. */
const guestOf = async (vm: Vm, {test, isReady}: Tests): Promise<Partial<PsRow>> => {
  const {healthcheck: check} = vm.spec
  const wasReady = (await peekGuest(vm.directory))?.ready === true
  const readiness = canLogIn(vm.spec) ? ((await isReady(vm, wasReady)) ? 'ready' : 'starting') : undefined
  return {
    ...(readiness !== undefined && {readiness}),
    ...(check && (await healthOf(vm, {check, isReached: wasReady || readiness === 'ready', test}))),
  }
}

const healthOf = async (
  vm: Vm,
  {check, isReached, test}: {readonly check: Healthcheck; readonly isReached: boolean; readonly test: Test},
): Promise<Pick<PsRow, 'health' | 'failures' | 'retries' | 'output'>> => {
  const {retries} = check
  const health = isReached ? await test(vm, check) : undefined
  if (!health) return {health: 'starting', failures: 0, retries}
  return {health: health.status, failures: health.failures, retries, output: health.last.output}
}

/**
 * Looks until every VM that runs is ready, and healthy where it has a health check. VMs into which vmctl cannot log in are not waited for.
 * @throws VmctlError `vmctl::guest::health_timed_out` after `timeoutMs` milliseconds
 */
export const waitForHealth = async (
  engine: Engine,
  ps: Ps,
  {timeoutMs, onRows}: {timeoutMs: number; onRows?: (rows: readonly PsRow[]) => void},
): Promise<readonly PsRow[]> => {
  const deadline = performance.now() + timeoutMs
  for await (const _turn of turns(engine.signal)) {
    const rows = await ps.look()
    onRows?.(rows)
    const open = rows.filter(
      ({health, isOrphan, readiness}) => !isOrphan && (readiness === 'starting' || (health !== undefined && health !== 'healthy')),
    )
    if (open.length === 0) return rows
    if (performance.now() >= deadline) throw tooLate(open, timeoutMs, rows)
  }
  return []
}

/** Looks again and again until it is interrupted. */
export const watch = async (
  engine: Engine,
  ps: Ps,
  {everyMs, onRows}: {everyMs: number; onRows: (rows: readonly PsRow[]) => void},
): Promise<void> => {
  try {
    for (;;) {
      onRows(await ps.look())
      await sleep(everyMs, undefined, {signal: engine.signal})
    }
  } catch (error) {
    if (!engine.signal.aborted) throw error
  }
}

const tooLate = (open: readonly PsRow[], timeoutMs: number, rows: readonly PsRow[]): VmctlError => {
  const lines = open.map(
    ({name, health = 'starting', output = ''}) => `  ${name} is ${health}${output === '' ? '' : `: ${output.split('\n').at(-1)}`}`,
  )
  return new VmctlError(
    'vmctl::guest::health_timed_out',
    `Not all VMs became ready and healthy within ${formatDuration(timeoutMs)}:\n${lines.join('\n')}`,
    {details: {vms: rows}},
  )
}
