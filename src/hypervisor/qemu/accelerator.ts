import {stat} from 'node:fs/promises'
import {cpus} from 'node:os'
import {join} from 'node:path'

import {makePrivateDirectory, readIfExists, writeFileAtomic} from '../../host/files.ts'
import {hasHardwareVirtualization, kvmModules, kvmRefusal} from '../../host/kvm.ts'
import {acquireLock} from '../../host/lock.ts'
import {findProgram} from '../../host/paths.ts'
import {hostBootId} from '../../host/proc.ts'
import {VmctlError} from '../../model/errors.ts'
import {type Heat, runProbe, sweepProbes} from './probe.ts'
import {qemuFailures} from './failures.ts'

export const defaultBinary = 'qemu-system-x86_64'

export interface Verdict {
  readonly works: boolean
  /** Why it does not, as QEMU or the guest said it. */
  readonly reason?: string
  /** How many times as long as TCG it takes for the same work; absent where TCG does not work. */
  readonly slowness?: number
  /** It was cut off before it had finished: `slowness` is the least that it can be. */
  readonly cutOff?: boolean
}

interface JudgeOptions {
  readonly stateDirectory: string
  readonly signal?: AbortSignal | undefined
  /** Judge anew, whatever is on record. */
  readonly fresh?: boolean
}

/** What a verdict depends on: this boot of the host, its CPU, the modules of KVM, and the very QEMU binary. */
const verdictKey = async (binary: string, accelerator: string): Promise<string> => {
  const path = await findProgram(binary)
  if (path === undefined) throw new VmctlError(qemuFailures.notInstalled, `${binary} is not installed or not on PATH.`)
  const {ino, size, mtimeMs} = await stat(path)
  const modules = accelerator === 'kvm' ? [await kvmModules()] : []
  return JSON.stringify([accelerator, hostBootId(), cpus()[0]?.model ?? '', ino, size, mtimeMs, process.getuid?.() ?? 0, ...modules])
}

/** The verdict on an accelerator, from the cache file when nothing that it depends on has changed. */
export const judgeAccelerator = async (binary: string, accelerator: string, options: JudgeOptions): Promise<Verdict> => {
  const key = await verdictKey(binary, accelerator)
  if (accelerator === 'tcg' && !options.fresh) return {works: true}
  const refusal = accelerator === 'kvm' ? await kvmRefusal() : undefined
  if (refusal !== undefined) return {works: false, reason: refusal}
  const known = async (): Promise<Verdict | undefined> => (options.fresh ? undefined : (await readCache(options))[key])
  const early = await known()
  if (early) return early
  await using _lock = await lockProbes(options)
  const late = await known()
  if (late) return late
  await sweepProbes(options.stateDirectory)
  const verdict = await race(binary, accelerator, options)
  await record(options, key, verdict)
  return verdict
}

/** TCG needs nothing of the host, so it sets the pace: it gets all the time that a busy machine may need. */
const pacemakerLimits = {cpuSeconds: 10, idleMs: 10_000}

/**
 * Runs the probe under TCG and under the accelerator, which may use a little more processor time than what would make it the slower
 * one; a busy host does not use that up.
 */
const race = async (binary: string, accelerator: string, {stateDirectory, signal}: JudgeOptions): Promise<Verdict> => {
  const options = {directory: stateDirectory, signal}
  const pace = await runProbe(binary, 'tcg', {...options, limits: pacemakerLimits})
  if (accelerator === 'tcg') return verdictOf(pace)
  if (pace.outcome !== 'right') return verdictOf(await runProbe(binary, accelerator, {...options, limits: pacemakerLimits}))
  const limits = {cpuSeconds: Math.max(1, Math.ceil((3 * pace.totalMs) / 1000)), idleMs: 1500}
  return verdictOf(await runProbe(binary, accelerator, {...options, limits}), pace)
}

const verdictOf = (heat: Heat, pace?: Heat): Verdict => {
  if (heat.outcome === 'wrong') return {works: false, ...(heat.reason !== undefined && {reason: heat.reason})}
  const slowness = pace && slownessOf(heat, pace)
  if (heat.outcome === 'right') return {works: true, ...(slowness !== undefined && {slowness})}
  if (slowness === undefined) return {works: false, reason: `no result after ${Math.round(heat.totalMs)} ms`}
  return {works: true, slowness, cutOff: true}
}

/** By the work of a kernel; by the way to its first instruction for a guest that did not get further. */
const slownessOf = (heat: Heat, pace: Heat): number => {
  const ratio =
    heat.roundMs === undefined || pace.roundMs === undefined
      ? (heat.firmwareMs ?? heat.totalMs) / (pace.firmwareMs ?? pace.totalMs)
      : heat.roundMs / pace.roundMs
  return Number(ratio.toPrecision(2))
}

/** Whether guests would run faster without it. */
export const isSlower = ({works, slowness = 0, cutOff = false}: Verdict): boolean => works && (cutOff || slowness > 1)

/** A verdict as a sentence without its end: `KVM works here, but is 20 times slower than TCG`. */
export const describeVerdict = async (accelerator: string, verdict: Verdict): Promise<string> => {
  const name = accelerator.toUpperCase()
  if (!verdict.works) return `${name} does not work here (${verdict.reason})`
  if (verdict.slowness === undefined) return `${name} works here`
  if (!isSlower(verdict)) return `${name} works here, ${timesOf(1 / verdict.slowness)} as fast as TCG`
  const cause =
    accelerator === 'kvm' && !(await hasHardwareVirtualization())
      ? ': nested virtualization without hardware support (the processor shows neither vmx nor svm)'
      : ''
  return `${name} works here, but is ${verdict.cutOff ? 'more than ' : ''}${timesOf(verdict.slowness)} slower than TCG${cause}`
}

const timesOf = (ratio: number): string => `${ratio < 10 ? ratio.toFixed(1) : Math.round(ratio)} times`

/** Corrects a verdict that a guest has disproved. */
export const overrule = async (
  binary: string,
  accelerator: string,
  {reason, ...options}: JudgeOptions & {readonly reason: string},
): Promise<void> => {
  await using _lock = await lockProbes(options)
  await record(options, await verdictKey(binary, accelerator), {works: false, reason})
}

/** One vmctl probes at a time; the others take over what it finds. */
const lockProbes = async ({stateDirectory, signal}: JudgeOptions) => {
  const locks = join(stateDirectory, 'locks')
  await makePrivateDirectory(locks)
  return acquireLock(join(locks, 'accelerators'), {purpose: 'probe accelerators', timeoutMs: 120_000, signal})
}

const cachePath = ({stateDirectory}: JudgeOptions): string => join(stateDirectory, 'accelerators.json')

const readCache = async (options: JudgeOptions): Promise<Record<string, Verdict>> => {
  try {
    const value: unknown = JSON.parse((await readIfExists(cachePath(options))) ?? '{}')
    return typeof value === 'object' && value !== null ? {...value} : {}
  } catch {
    return {}
  }
}

/** Verdicts of other boots go. */
const record = async (options: JudgeOptions, key: string, verdict: Verdict): Promise<void> => {
  const others = Object.entries(await readCache(options)).filter(([other]) => other.includes(hostBootId()))
  await writeFileAtomic(cachePath(options), `${JSON.stringify({...Object.fromEntries(others), [key]: verdict}, undefined, 2)}\n`)
}

export interface Choice {
  readonly accelerator: string
  /** Why a preferred one was passed over, or what is wrong with this one. */
  readonly notice?: string
}

/** What is tried when nobody asks for anything else. */
export const defaultAccelerators: readonly string[] = ['kvm', 'tcg']

/**
 * Chooses the first accelerator that works and is not slower than TCG, if TCG is among the wanted ones, which are in order of
 * preference.
 * @throws VmctlError `vmctl::qemu::accelerator_unavailable` when none of the wanted ones works
 */
export const chooseAccelerator = async (binary: string, wanted: readonly string[], options: JudgeOptions): Promise<Choice> => {
  const reasons: string[] = []
  for (const [index, accelerator] of wanted.entries()) {
    const verdict = await judgeAccelerator(binary, accelerator, options)
    const told = await describeVerdict(accelerator, verdict)
    const mayBeSlow = !wanted.includes('tcg', index + 1)
    if (verdict.works && isSlower(verdict) && mayBeSlow) return {accelerator, notice: `${told}. It is used because it was asked for.`}
    if (verdict.works && !isSlower(verdict)) {
      const notice = `No hardware acceleration: ${reasons.join('; ')}. The guest runs under TCG, which emulates its processor.`
      return reasons.length > 0 && accelerator === 'tcg' ? {accelerator, notice} : {accelerator}
    }
    reasons.push(told)
  }
  throw new VmctlError(qemuFailures.acceleratorUnavailable, `No wanted accelerator can run a guest: ${reasons.join('; ')}.`)
}
