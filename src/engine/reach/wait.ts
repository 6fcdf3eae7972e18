import {stat} from 'node:fs/promises'

import {fingerprint, knownHostsKey, knownHostsLine} from '../../guest/keys/keys.ts'
import {type ReadyGuest, waitUntilReady} from '../../guest/ready/ready.ts'
import type {Death} from '../../guest/ready/watch.ts'
import {peekGuest} from '../../guest/record.ts'
import {type Candidate, describeCandidate} from '../../guest/ssh/candidates.ts'
import type {GuestConnection} from '../../guest/ssh/ssh.ts'
import {readEnd, readIfExists, readPiece, writeFileAtomic} from '../../host/files.ts'
import {lastLines} from '../../host/process.ts'
import {about, isVmctlError, VmctlError} from '../../model/errors.ts'
import {vmFiles} from '../../model/layout.ts'
import {hasShell} from '../../model/login.ts'
import {stripControls} from '../../model/strip.ts'
import type {SshConfig, Vm} from '../../model/vm.ts'
import {type Engine, hypervisorOf} from '../engine.ts'
import {requireKeys, requireWayIn} from '../plan/login.ts'
import {repairNetworks} from '../resources/carriers.ts'
import {consoleLogOf} from './console-log.ts'
import {hostKeyAlias, type Login, sshKeys, sshUser} from './identity.ts'
import {watchRefusals} from './refusals.ts'
import {trustOf} from './trust.ts'

export interface WaitOptions extends Login {
  /** Milliseconds without progress after which the wait ends; three times as many under TCG. */
  readonly timeoutMs?: number
  /** Whether the guest was reached before, from who has its record in hand. */
  readonly ready?: boolean
  /** Whether cloud-init's result is waited for. */
  readonly cloudInit?: boolean
  /** For who may start the VM anew: as in `WatchOptions`. */
  readonly onStall?: (evidence: string) => Promise<boolean>
}

/** What the user says is taken as it is; what vmctl thinks is longer where guests are slow. */
const patienceOf = (asked: number | undefined, ssh: SshConfig | undefined, accelerator: string | undefined): number =>
  asked === undefined && ssh?.connectTimeoutMs !== undefined
    ? ssh.connectTimeoutMs
    : (asked ?? patienceMs) * (accelerator === 'tcg' ? tcgSlowness : 1)

const patienceMs = 120_000

/** Without hardware acceleration a guest takes several times as long for everything. */
const tcgSlowness = 3

/** Where nobody knows, no other host key is trusted than the one that is known. */
const wasReached = async (vm: Vm, {ready}: WaitOptions): Promise<boolean> => ready ?? (await peekGuest(vm.directory))?.ready ?? true

/** Waits until a VM's guest can be worked with, and returns the connection. */
export const waitForGuest = async (engine: Engine, vm: Vm, options: WaitOptions = {}): Promise<ReadyGuest> => {
  requireWayIn(vm.spec, options)
  const hypervisor = await hypervisorOf(engine, vm)
  await repairNetworks(engine, vm.spec)
  const files = vmFiles(vm.directory)
  const alias = hostKeyAlias(vm)
  const known = knownHostsKey((await readIfExists(files.knownHosts)) ?? '', alias)
  const [ready, {accelerator}] = await Promise.all([wasReached(vm, options), hypervisor.observe(vm)])
  const ssh = options.ssh ?? vm.spec.ssh
  const {pinned, onFirstUse} = trustOf({
    check: ssh?.hostKeyCheck,
    pinned: known,
    ready,
    hasUserData: vm.spec.cloudInit?.userData !== undefined,
  })
  const isAlive = async (): Promise<Death | undefined> => {
    const {state, crash, pause} = await hypervisor.observe(vm)
    if (state === 'running') return undefined
    return pause === undefined ? (crash ?? `the VM is ${state}`) : new VmctlError('vmctl::vm::paused', `The VM is paused: ${pause}.`)
  }
  const consoleBytes = async (): Promise<number> =>
    stat(await consoleLogOf(engine, vm)).then(
      (info) => info.size,
      () => 0,
    )
  const auth = requireKeys(vm, await sshKeys(engine, vm, options))
  const tell = (message: string): void => void engine.emit({type: 'vm.notice', vm: vm.name, message})
  const inVain = new AbortController()
  const onRefusal = watchRefusals({
    isSeeded: vm.spec.cloudInit !== undefined,
    askedMs: ssh?.connectTimeoutMs,
    tell,
    giveUp: (error) => inVain.abort(error),
  })
  const climbing = waitUntilReady({
    dial: (signal) => hypervisor.dial(vm, 22, {signal}),
    isAccepted: async () => {
      const {connections} = (await hypervisor.vitals?.(vm)) ?? {}
      return connections === undefined ? undefined : connections > 0
    },
    isAlive,
    connectOptions: {
      user: sshUser(vm, options.user, options.ssh),
      auth,
      refused: new Set(),
      onRefusal,
      onSlowShell: tell,
      hasShell: hasShell(ssh),
    },
    vitals: async () => hypervisor.vitals?.(vm),
    onStall: options.onStall,
    onHint: (message) => void engine.emit({type: 'vm.notice', vm: vm.name, message}),
    console: {
      sizeBytes: consoleBytes,
      read: (from) => readPiece(files.consoleLog, from),
      tail: (lines) => consoleTail(files.consoleLog, lines),
    },
    expectCloudInit: options.cloudInit ?? vm.spec.cloudInit !== undefined,
    hostKey: {
      ...(pinned !== undefined && {pinned}),
      ...(onFirstUse !== 'refuse' && {
        onFirstUse: async (key: string) => {
          if (onFirstUse === 'accept') return
          await writeFileAtomic(files.knownHosts, `${knownHostsLine(alias, key)}\n`)
          const message = `the guest has its own host key, trusted from now on: ${fingerprint(key)}`
          await engine.emit({type: 'vm.notice', vm: vm.name, message})
        },
      }),
    },
    firstBoot: !ready,
    timeoutMs: patienceOf(options.timeoutMs, ssh, accelerator),
    signal: AbortSignal.any([engine.signal, inVain.signal]),
    onMilestone: (milestone, detail) => void engine.emit({type: 'guest.milestone', vm: vm.name, milestone, detail}),
    onConsole: (line, stage) => void engine.emit({type: 'guest.console', vm: vm.name, line, stage}),
  })
  try {
    const guest = await climbing
    endWithGuest(guest.connection, {isAlive, consoleBytes})
    const other = otherKeyNotice(options.key, auth, guest.connection.key)
    if (other !== undefined) tell(other)
    return guest
  } catch (error) {
    throw about(error, {vm: vm.name})
  } finally {
    await engine.emit({type: 'guest.waited', vm: vm.name})
  }
}

/** What is said when the key that was named is not the one that has let us in. One that needs a passphrase was not shown to the guest. */
const otherKeyNotice = (named: string | undefined, auth: readonly Candidate[], accepted: Candidate | undefined): string | undefined => {
  if (named === undefined || !accepted || accepted.path === named) return undefined
  const isPassedOver = auth.some((one) => one.kind === 'key' && one.encrypted && one.path === named)
  return isPassedOver ? undefined : `the guest did not accept ${named}, but ${describeCandidate(accepted)}`
}

const tailBytes = 64 * 1024

const consoleTail = async (path: string, lines: number): Promise<string> => lastLines(stripControls(await readEnd(path, tailBytes)), lines)

/** How often a connection that is in use looks whether its guest has crashed, which is asked when the console has grown. */
const lookMs = 1000

/** After so many of these looks it is asked in any case: a guest that is paused says nothing. */
const askEvery = 5

/** Ends a connection when its guest has crashed, or is paused for want of room on the host, which the connection itself would take half a minute to notice. */
const endWithGuest = (connection: GuestConnection, {isAlive, consoleBytes}: Liveness): void => {
  let seen: number | undefined
  let looks = 0
  const look = async (): Promise<void> => {
    const bytes = await consoleBytes()
    const hasGrown = bytes !== seen
    seen = bytes
    looks += 1
    if (!hasGrown && looks % askEvery !== 0) return
    const death = await isAlive()
    // Somebody may suspend a guest for a while: its connections outlive that.
    if (hasGrown ? death !== undefined : isVmctlError(death)) connection.close()
  }
  const timer = setInterval(() => void look().catch(() => undefined), lookMs).unref()
  connection.closed.catch(() => clearInterval(timer))
}

interface Liveness {
  /** Why nothing can be expected of the guest; undefined while it lives. */
  readonly isAlive: () => Promise<Death | undefined>
  readonly consoleBytes: () => Promise<number>
}
