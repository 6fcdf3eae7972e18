import {join} from 'node:path'

import {readOwnIfExists, writeFileAtomic} from '../../host/files.ts'
import {processArguments, type ProcessIdentity} from '../../host/proc.ts'
import {run} from '../../host/process.ts'
import {seal, unseal} from '../../host/sealed.ts'
import {VmctlError} from '../../model/errors.ts'
import type {LaunchFacts} from './launch-facts.ts'
import type {QmpClient} from './qmp.ts'
import {qemuFailures} from './failures.ts'

/** What the memory of a guest fits to: the same QEMU, with the same devices in the same places. */
export interface Machine {
  readonly schema: 1
  /** `7.2.22 (Debian 1:7.2+dfsg-7)`, as `--version` has it. */
  readonly version: string
  readonly arguments: readonly string[]
  /** Whether the guest ran, and was not suspended. */
  readonly isRunning: boolean
}

export const machineFile = (directory: string): string => join(directory, 'machine.json')

/** What loads a guest's memory is for this start only, and so are the ports of the host. */
const incoming = ['-incoming', 'defer', '-S']

export const incomingArguments = (facts: Pick<LaunchFacts, 'incoming'>): readonly string[] => (facts.incoming ? incoming : [])

const lasting = (args: readonly string[]): string[] =>
  args.filter((arg) => !incoming.includes(arg)).map((arg) => arg.replaceAll(/,hostfwd=[^,]*/g, ''))

const uuidOf = (args: readonly string[]): string | undefined => args[args.indexOf('-uuid') + 1]

/**
 * The arguments of a VM without those in which another VM differs that takes over its guest: the state of the guest has no file of the
 * host, and brings the UUID that it was started with.
 */
const ofGuest = (args: readonly string[]): string[] =>
  args.map((arg, index) => {
    if (['-name', '-uuid'].includes(args[index - 1] ?? '')) return ''
    if (arg.startsWith('{"node-name":"firmware"')) return arg
    return arg.replaceAll(/(?<="filename":)"(?:[^"\\]|\\.)*"/g, '""')
  })

export const recordMachine = async (
  directory: string,
  qmp: QmpClient,
  {process, isRunning}: {readonly process: ProcessIdentity; readonly isRunning: boolean},
): Promise<void> => {
  const {qemu, package: name} = (await qmp.execute('query-version')) as {
    readonly qemu: {readonly major: number; readonly minor: number; readonly micro: number}
    readonly package: string
  }
  const number = `${qemu.major}.${qemu.minor}.${qemu.micro}`
  const [, ...args] = await processArguments(process.pid)
  const machine: Machine = {
    schema: 1,
    version: name === '' ? number : `${number} (${name})`,
    arguments: lasting(args),
    isRunning,
  }
  await writeFileAtomic(machineFile(directory), seal(machine))
}

/** @throws VmctlError `vmctl::snapshot::damaged` */
export const readMachine = async (directory: string): Promise<Machine> => {
  const damaged = (): VmctlError =>
    new VmctlError('vmctl::snapshot::damaged', `What the memory of the guest was saved with cannot be read: ${machineFile(directory)}.`, {
      help: 'Nothing was changed. Put the disks back and boot from them: `--disk-only`.',
    })
  const text = readOwnIfExists(machineFile(directory))
  if (text === undefined) throw damaged()
  try {
    const value = unseal(text)
    if (isMachine(value)) return value
  } catch {
    throw damaged()
  }
  throw damaged()
}

const isMachine = (value: unknown): value is Machine =>
  typeof value === 'object' &&
  value !== null &&
  'version' in value &&
  typeof value.version === 'string' &&
  'arguments' in value &&
  Array.isArray(value.arguments) &&
  value.arguments.every((arg) => typeof arg === 'string') &&
  'isRunning' in value &&
  typeof value.isRunning === 'boolean'

/**
 * Checks that a QEMU that is started now understands what was saved: it reads memory as it lies there, and crashes or goes wrong where
 * anything is different.
 * @throws VmctlError `vmctl::snapshot::incompatible`
 */
export const requireSameMachine = async (
  vm: string,
  machine: Machine,
  now: {readonly binary: string; readonly arguments: readonly string[]},
): Promise<void> => {
  const {stdout} = await run(now.binary, ['--version'], {timeoutMs: 20_000, notInstalled: {kind: qemuFailures.notInstalled}})
  const version = /version (.+)$/m.exec(stdout)?.[1] ?? 'unknown'
  if (version !== machine.version) {
    throw new VmctlError(
      'vmctl::snapshot::incompatible',
      `The memory of ${vm} was saved by QEMU ${machine.version}; ${now.binary} is ${version} now.`,
    )
  }
  const [was, is] = [machine.arguments, lasting(now.arguments)]
  const isFork = uuidOf(was) !== uuidOf(is)
  const [before, after] = isFork ? [ofGuest(was), ofGuest(is)] : [was, is]
  const at = before.findIndex((arg, index) => arg !== after[index])
  if (at < 0 && before.length === after.length) return
  const place = at < 0 ? before.length : at
  throw new VmctlError(
    'vmctl::snapshot::incompatible',
    `The memory of ${vm} fits the machine that it was saved on; its QEMU would be started with ${after[place] ?? 'nothing'} where it had ${before[place] ?? 'nothing'}.`,
  )
}
