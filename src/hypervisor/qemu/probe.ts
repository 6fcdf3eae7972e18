import {mkdtemp, readdir, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'

import {remove} from '../../host/durable.ts'
import {isTemporaryName} from '../../host/files.ts'
import {isBusy} from '../../host/proc.ts'
import {lastLines, type RunResult, runUnderLimits} from '../../host/process.ts'
import {isFailure, messageOf} from '../../model/errors.ts'
import {sandbox} from './arguments.ts'
import {qemuFailures} from './failures.ts'

/**
 * A boot sector that does in small what a kernel does while it starts, tells on the debug console how far it is, and ends QEMU
 * through isa-debug-exit. Assembled from `fixtures/accelerator-probe.S`; a test assembles it again.
 */
export const probeCode =
  'fafc31c08ed88ec08ed0bc0070bf0010b90028f3abc70600100320c70600200330c606003083c706083003400f20e00c200f22e066b8001000000f22d866b9' +
  '800000c00f3280cc010f30660f011ece7d660f0116c87d0f20c0660d010001800f22c066ea6a7c00000800b8100000008ed88ec08ed0bf00500000c787e000' +
  '00007d7d0800c78700020000a57d0800c687e50000008ec687050200008eb011e620b020e621b004e621b001e621b0fee6214531ed4531f641bf10000000b0' +
  '42e6e9bf0040000031c0b900020000f348ab0f20d80f22d8bb00002000b940000000890b81c300100000e2f6bf00002000b9000001004489f8f3aabe000020' +
  '00b900400000f348a53247ff756c31c00fa2b9020100c00f324489f80f300f324439f87555b90c000000e461e680e2fa31c0b90000040069c00d661900055f' +
  'f36e3ce2f33d000094a2752fb030e643b0ffe64031c0e64041ffc5fbf4fa4585ed75f8b02ee6e941ffcf0f8555ffffffb0314181fe000400007402b032e6f4' +
  'f4ebfb50520f20d089c281e200f01f00c1ea09662500f00c034889820040000041ffc65a584883c40848cf50b020e62041ffcd5848cf0000000000000000ff' +
  'ff0000009aaf00ffff00000092af001700b07d00000f020050'

/** How many dots the guest prints, one after each round of its work. */
const rounds = 16

/** isa-debug-exit ends QEMU with (value << 1) | 1; the probe writes 0x31, or 0x32 when something was not as it has to be. */
const probeSuccess = (0x31 << 1) | 1
const probeFailure = (0x32 << 1) | 1

const probePrefix = '.probe-'

/** How often, and how many milliseconds apart, a QEMU has to be seen doing nothing. */
const idleLooks = 5
const lookMs = 50

const isIdle = async (pid: number | undefined): Promise<boolean> => {
  for (let look = 0; look < idleLooks; look++) {
    if (pid === undefined || (await isBusy(pid))) return false
    await sleep(lookMs)
  }
  return true
}

/** How long a guest has to take at the most. */
export interface ProbeLimits {
  /** Processor time of QEMU, which a busy host does not use up. It holds also when vmctl is killed and nobody is left to end QEMU. */
  readonly cpuSeconds: number
  /** A QEMU that is idle after this time, or a multiple of it, hangs, in milliseconds; one that works may go on for a hundred of them. */
  readonly idleMs: number
}

/** One run of the probe under an accelerator. */
export interface Heat {
  /** `slow`: it was cut off when it had used up its processor time. */
  readonly outcome: 'right' | 'wrong' | 'slow'
  /** What QEMU or the guest said, unless the outcome is right. */
  readonly reason?: string
  /** From the start of QEMU to the first sign of the guest, in milliseconds; absent when there was none. */
  readonly firmwareMs?: number
  /** What one round took, in milliseconds; absent when none was finished. */
  readonly roundMs?: number
  /** The whole run. */
  readonly totalMs: number
}

/**
 * Runs the probe guest under an accelerator. `/dev/kvm` may open and still be unable to run anything, or run it a hundred times
 * slower than TCG, so nothing less than a run that is timed counts.
 * @throws VmctlError `vmctl::qemu::not_installed`
 */
export const runProbe = async (
  binary: string,
  accelerator: string,
  {directory: parent, signal, limits}: {directory: string; signal?: AbortSignal | undefined; limits: ProbeLimits},
): Promise<Heat> => {
  const directory = await mkdtemp(join(parent, probePrefix))
  const started = performance.now()
  const since = (moment = started): number => Math.max(1, performance.now() - moment)
  let begun: number | undefined
  let done = 0
  let latest: number | undefined
  const onStdout = (chunk: string): void => {
    for (const sign of chunk) {
      if (sign === 'B') begun = performance.now()
      else if (sign === '.' && begun !== undefined) {
        done++
        latest = performance.now()
      }
    }
  }
  let pid: number | undefined
  const hang = new AbortController()
  const watch = setInterval(() => {
    void isIdle(pid).then((idle) => idle && hang.abort())
  }, limits.idleMs)
  const times = (): Omit<Heat, 'outcome'> => ({
    totalMs: since(),
    ...(begun !== undefined && {firmwareMs: Math.max(1, begun - started)}),
    ...(begun !== undefined && latest !== undefined && {roundMs: Math.max(1, latest - begun) / done}),
  })
  try {
    const image = join(directory, 'probe.img')
    await writeFile(image, probeImage(), {mode: 0o600})
    const result = await runUnderLimits(
      // The soft limit ends it by SIGXCPU, which tells it apart.
      [`--cpu=${limits.cpuSeconds}:${limits.cpuSeconds + 1}`],
      [binary, ...probeArguments(accelerator, image)],
      {
        signal: signal ? AbortSignal.any([signal, hang.signal]) : hang.signal,
        timeoutMs: 100 * limits.idleMs,
        onSpawn: (number) => (pid = number),
        onStdout,
        notInstalled: {kind: qemuFailures.notInstalled},
      },
    )
    if (result.exitCode === probeSuccess && done === rounds) return {outcome: 'right', ...times()}
    if (result.signal === 'SIGXCPU' || result.exitCode === 128 + 24) return {outcome: 'slow', ...times()}
    return {outcome: 'wrong', reason: whatWentWrong(result), ...times()}
  } catch (error) {
    signal?.throwIfAborted()
    if (isFailure(error, qemuFailures.notInstalled)) throw error
    const reason = hang.signal.aborted ? `the guest hung: no result and an idle QEMU after ${limits.idleMs} ms` : messageOf(error)
    return {outcome: 'wrong', reason, ...times()}
  } finally {
    clearInterval(watch)
    await remove(directory)
  }
}

const whatWentWrong = (result: RunResult): string => {
  const said = lastLines(result.stderr, 1)
  if (said !== '') return said
  if (result.signal !== null) return `QEMU ended with ${result.signal}`
  return result.exitCode === probeFailure ? 'the guest got a wrong result' : `QEMU ended with ${result.exitCode}`
}

const probeImage = (): Buffer => {
  const sector = Buffer.alloc(512)
  Buffer.from(probeCode, 'hex').copy(sector)
  sector.writeUInt16LE(0xaa55, 510)
  return sector
}

const probeArguments = (accelerator: string, image: string): string[] => [
  ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-machine', 'pc', '-m', '64'],
  // The sandbox that every VM gets: a QEMU without it is found out here.
  ...['-sandbox', sandbox],
  ...['-accel', accelerator, '-cpu', accelerator === 'kvm' ? 'host' : 'max'],
  ...['-drive', `file=${image.replaceAll(',', ',,')},format=raw,if=ide,readonly=off`],
  ...['-device', 'isa-debug-exit,iobase=0xf4,iosize=0x04'],
  ...['-chardev', 'stdio,id=debug,signal=off', '-device', 'isa-debugcon,iobase=0xe9,chardev=debug'],
]

/** Removes what killed probes have left in the state directory. The caller holds the lock. */
export const sweepProbes = async (stateDirectory: string): Promise<void> => {
  for (const name of await readdir(stateDirectory)) {
    if (name.startsWith(probePrefix) || isTemporaryName(name)) await remove(join(stateDirectory, name))
  }
}
