import {runInteractive} from '../../host/interactive.ts'
import {instanceName} from '../../model/names.ts'
import {inBrackets} from '../../model/port.ts'
import type {Vm} from '../../model/vm.ts'
import {requireVm} from '../../store/store.ts'
import {type Engine, observe} from '../engine.ts'
import {unhurried} from '../vm/copy.ts'
import {type ForkSettings, openFork} from './fork.ts'
import {endFork, sweepForks} from './remove-fork.ts'

export interface TryOptions extends ForkSettings {
  /** Names of VMs that exist. */
  readonly vms: readonly string[]
  /** A program of the host and its arguments. */
  readonly command: readonly [string, ...string[]]
  /** Absolute path of the VMFile of this directory, when there is one. */
  readonly vmfile?: string | undefined
  /** Whether the command may not write to standard output, which is for the result. */
  readonly quiet: boolean
  /** Called when the fork can be used. */
  readonly onReady: (ready: Omit<Tried, 'exitCode' | 'removed'>) => void
}

/** What a command has done to a fork; the `--json` shape of `try`. */
export interface Tried {
  readonly fork: string
  readonly vms: readonly string[]
  /** Whether its guests went on where those of the VMs were; else they have booted. */
  readonly hasMemory: boolean
  /** Milliseconds until the fork could be used. */
  readonly readyMs: number
  /** Milliseconds for which the guests of the VMs stood still. */
  readonly pausedMs: number
  readonly exitCode: number
  readonly removed: boolean
}

/** Runs a command against a fork of VMs, which is removed at the end, however that comes, unless it is to be kept. */
export const tryCommand = async (engine: Engine, options: TryOptions): Promise<Tried> => {
  await sweepForks(engine)
  const {vms, command, keep, diskOnly} = options
  const began = performance.now()
  const {fork, engine: own, hasMemory, pausedMs, ...open} = await openFork(engine, vms, {keep, diskOnly})
  let isRemoved = false
  try {
    engine.signal.throwIfAborted()
    const ready = {fork: fork.id, vms, hasMemory, readyMs: Math.round(performance.now() - began), pausedMs}
    options.onReady(ready)
    const env = {
      ...(await portVariables(own, vms)),
      VMCTL_STATE_DIR: fork.directory,
      VMCTL_FORK: fork.id,
      ...(options.vmfile !== undefined && {VMCTL_FILE: options.vmfile}),
    }
    const [program, ...args] = command
    const exitCode = await runInteractive(program, args, {help: 'Name a program of this host behind `--`.', env, quiet: options.quiet})
    if (!keep) {
      await endFork(unhurried(engine), fork)
      isRemoved = true
    }
    return {...ready, exitCode, removed: isRemoved}
  } finally {
    try {
      if (!isRemoved && !keep) await endFork(unhurried(engine), fork)
    } finally {
      await open[Symbol.asyncDispose]()
    }
  }
}

/** `VMCTL_WEB_80=127.0.0.1:20123`: where what is forwarded leads to in the fork, by what the VMFile calls the VM. */
const portVariables = async (own: Engine, names: readonly string[]): Promise<Readonly<Record<string, string>>> => {
  const all = await Promise.all(
    names.map(async (name) => {
      const vm = await requireVm(own.store, name)
      const {ports = [], sshPort} = await observe(own, vm)
      const ssh = sshPort === undefined ? [] : [{protocol: 'tcp', bind: '127.0.0.1', host: sshPort, guest: 22}]
      return [...ssh, ...ports].map(({protocol, bind, host, guest}) => [
        `VMCTL_${wordOf(vm)}_${guest}${protocol === 'udp' ? '_UDP' : ''}`,
        `${inBrackets(['0.0.0.0', '::'].includes(bind) ? '127.0.0.1' : bind)}:${host}`,
      ])
    }),
  )
  return Object.fromEntries(all.flat())
}

const wordOf = ({name, spec}: Vm): string =>
  instanceName({service: spec.service ?? name, replica: spec.replica})
    .toUpperCase()
    .replaceAll(/[^A-Z0-9]/g, '_')
