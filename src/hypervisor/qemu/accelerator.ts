import {mkdtemp, open, readdir, stat, writeFile} from 'node:fs/promises'
import {cpus} from 'node:os'
import {join} from 'node:path'

import {remove} from '../../host/durable.ts'
import {isTemporaryName, makePrivateDirectory, readIfExists, writeFileAtomic} from '../../host/files.ts'
import {acquireLock} from '../../host/lock.ts'
import {findProgram} from '../../host/paths.ts'
import {hostBootId} from '../../host/proc.ts'
import {lastLines, runUnderLimits} from '../../host/process.ts'
import {messageOf, VmctlError} from '../../model/errors.ts'
import {sandbox} from './arguments.ts'

export const defaultBinary = 'qemu-system-x86_64'

/**
 * A boot sector that enters 64-bit long mode with paging on, executes CPUID and RDTSC, and ends QEMU through the
 * isa-debug-exit device. Assembled from `fixtures/accelerator-probe.S`; a test assembles it again.
 */
export const probeCode =
  'fa31c08ed88ec08ed0bc007c66bf001000006631c066b9000c0000fc66f3ab66c70600100320000066c7060020033000' +
  '0066c7060030830000000f20e06683c8200f22e066b8001000000f22d866b9800000c00f32660d000100000f30660f0116' +
  'a87c0f20c0660d010000800f22c066ea777c0000080066b810008ed88ed031c00fa20f31b031e6f4f4ebfd0f1f400000' +
  '00000000000000ffff0000009aaf00ffff00000092af001700907c'

/** A guest that spins where it should end stops by this limit when vmctl is killed and nobody is left to stop it. */
const probeCpuSeconds = 10

const probePrefix = '.probe-'

/** isa-debug-exit ends QEMU with (value << 1) | 1; the probe writes 0x31. */
const probeSuccess = (0x31 << 1) | 1

export interface Verdict {
  readonly works: boolean
  /** What QEMU said when it does not. */
  readonly reason?: string
}

const probeImage = (): Buffer => {
  const sector = Buffer.alloc(512)
  Buffer.from(probeCode, 'hex').copy(sector)
  sector.writeUInt16LE(0xaa55, 510)
  return sector
}

/**
 * Proves an accelerator by running a guest with it. `/dev/kvm` may open and still be unable to run anything, so nothing
 * less than a run counts.
 */
export const probeAccelerator = async (
  binary: string,
  accelerator: string,
  options: {directory: string; signal?: AbortSignal; timeoutMs?: number},
): Promise<Verdict> => {
  const directory = await mkdtemp(join(options.directory, probePrefix))
  try {
    const image = join(directory, 'probe.img')
    await writeFile(image, probeImage(), {mode: 0o600})
    const timeoutMs = options.timeoutMs ?? 5000
    const result = await runUnderLimits(
      [`--cpu=${probeCpuSeconds}`],
      [
        binary,
        ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-machine', 'pc', '-m', '64'],
        // The sandbox that every VM gets: a QEMU without it is found out here.
        ...['-sandbox', sandbox],
        ...['-accel', accelerator, '-cpu', accelerator === 'kvm' ? 'host' : 'max'],
        ...['-drive', `file=${image.replaceAll(',', ',,')},format=raw,if=ide,readonly=off`],
        ...['-device', 'isa-debug-exit,iobase=0xf4,iosize=0x04'],
      ],
      {signal: options.signal, timeoutMs, notInstalled: {code: 'vmctl::qemu::not_installed'}},
    )
    if (result.exitCode === probeSuccess) return {works: true}
    return {works: false, reason: lastLines(result.stderr, 1) || `QEMU ended with ${result.signal ?? result.exitCode}`}
  } catch (error) {
    options.signal?.throwIfAborted()
    if (error instanceof VmctlError && error.code === 'vmctl::qemu::not_installed') throw error
    return {works: false, reason: messageOf(error)}
  } finally {
    await remove(directory)
  }
}

/** What a verdict depends on: this boot of this computer, its CPU, and the very QEMU binary. */
const verdictKey = async (binary: string, accelerator: string): Promise<string> => {
  const path = await findProgram(binary)
  if (path === undefined) throw new VmctlError('vmctl::qemu::not_installed', `${binary} is not installed or not on PATH.`)
  const info = await stat(path)
  return JSON.stringify([accelerator, hostBootId(), cpus()[0]?.model ?? '', info.ino, info.size, info.mtimeMs, process.getuid?.() ?? 0])
}

/** The verdict on an accelerator, from the cache file when nothing that it depends on has changed. */
export const judgeAccelerator = async (
  binary: string,
  accelerator: string,
  options: {stateDirectory: string; signal?: AbortSignal; fresh?: boolean},
): Promise<Verdict> => {
  const key = await verdictKey(binary, accelerator)
  if (accelerator === 'tcg' && !options.fresh) return {works: true}
  if (accelerator === 'kvm') {
    const device = await open('/dev/kvm', 'r+').catch((error: unknown) => messageOf(error))
    if (typeof device === 'string') return {works: false, reason: device}
    await device.close()
  }
  const cachePath = join(options.stateDirectory, 'accelerators.json')
  const known = async (): Promise<Verdict | undefined> => (options.fresh ? undefined : (await readCache(cachePath))[key])
  const early = await known()
  if (early) return early
  await using _lock = await lockProbes(options)
  const late = await known()
  if (late) return late
  await sweepProbes(options.stateDirectory)
  const verdict = await probeAccelerator(binary, accelerator, {
    directory: options.stateDirectory,
    ...(options.signal && {signal: options.signal}),
  })
  await writeFileAtomic(cachePath, `${JSON.stringify({...keepThisBoot(await readCache(cachePath)), [key]: verdict}, undefined, 2)}\n`)
  return verdict
}

/** One vmctl probes at a time; the others take over what it finds. */
const lockProbes = async ({stateDirectory, signal}: {stateDirectory: string; signal?: AbortSignal}) => {
  const locks = join(stateDirectory, 'locks')
  await makePrivateDirectory(locks)
  return acquireLock(join(locks, 'accelerators'), {purpose: 'probe accelerators', timeoutMs: 120_000, signal})
}

/** Removes what killed probes have left. The caller holds the lock. */
const sweepProbes = async (stateDirectory: string): Promise<void> => {
  for (const name of await readdir(stateDirectory)) {
    if (name.startsWith(probePrefix) || isTemporaryName(name)) await remove(join(stateDirectory, name))
  }
}

const readCache = async (path: string): Promise<Record<string, Verdict>> => {
  try {
    const value: unknown = JSON.parse((await readIfExists(path)) ?? '{}')
    return typeof value === 'object' && value !== null ? {...value} : {}
  } catch {
    return {}
  }
}

const keepThisBoot = (cache: Record<string, Verdict>): Record<string, Verdict> =>
  Object.fromEntries(Object.entries(cache).filter(([key]) => key.includes(hostBootId())))

export interface Choice {
  readonly accelerator: string
  /** Why a preferred one was passed over. */
  readonly notice?: string
}

/**
 * Chooses the first accelerator that works. `wanted` is in order of preference; by default KVM, else TCG with a notice.
 * @throws VmctlError `vmctl::qemu::accelerator_unavailable` when none of the wanted ones works
 */
export const chooseAccelerator = async (
  binary: string,
  wanted: readonly string[] | undefined,
  options: {stateDirectory: string; signal?: AbortSignal},
): Promise<Choice> => {
  const reasons: string[] = []
  for (const accelerator of wanted ?? ['kvm', 'tcg']) {
    const verdict = await judgeAccelerator(binary, accelerator, options)
    if (verdict.works) {
      const notice = `No hardware acceleration: ${reasons.join('; ')}. The guest runs under TCG, which is many times slower.`
      return reasons.length > 0 && accelerator === 'tcg' ? {accelerator, notice} : {accelerator}
    }
    reasons.push(`${accelerator} does not work here (${verdict.reason})`)
  }
  throw new VmctlError('vmctl::qemu::accelerator_unavailable', `No wanted accelerator can run a guest: ${reasons.join('; ')}.`)
}
