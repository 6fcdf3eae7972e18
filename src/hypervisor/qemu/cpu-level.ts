import {cpuFlags} from '../../host/cpu.ts'
import {runOrThrow} from '../../host/process.ts'
import {displaySource} from '../../model/secrets.ts'
import {VmctlError} from '../../model/errors.ts'
import type {VmSpec} from '../../model/vm.ts'

/** Of the x86-64 psABI, in the words of Linux: `abm` is LZCNT. */
const ofV3 = ['avx', 'avx2', 'bmi1', 'bmi2', 'f16c', 'fma', 'abm', 'movbe', 'xsave']

/** What a processor lacks for x86-64-v3. */
export const lackingForV3 = (flags: ReadonlySet<string>): readonly string[] => ofV3.filter((flag) => !flags.has(flag))

/** Whether the processor that QEMU emulates has AVX2: since 7.2. */
export const emulatesV3 = (version: string): boolean => {
  const [, major, minor] = /(\d+)\.(\d+)/.exec(version) ?? []
  return Number(major) > 7 || (Number(major) === 7 && Number(minor) >= 2)
}

/**
 * Refuses an image whose programs would die by an illegal instruction, which a guest does without a word. Who chooses the processor
 * of the guest has the say.
 * @throws VmctlError `vmctl::image::refused`
 */
export const requireCpuLevel = async (
  {image, qemu}: VmSpec,
  {binary, accelerator}: {readonly binary: string; readonly accelerator: string},
): Promise<void> => {
  if (image.cpuLevel === undefined || qemu?.cpu !== undefined) return
  const problem = await problemOf(binary, accelerator)
  if (problem === undefined) return
  throw new VmctlError(
    'vmctl::image::refused',
    `The image ${displaySource(image)} needs a processor of the level ${image.cpuLevel}: ${problem}.`,
    {
      help: 'Take an older release, or one that is built for all processors: `almalinux:10-x86-64-v2`.',
      details: {source: displaySource(image), cpuLevel: image.cpuLevel},
    },
  )
}

const problemOf = async (binary: string, accelerator: string): Promise<string | undefined> => {
  if (accelerator === 'tcg') {
    const version = await runOrThrow(binary, ['--version'])
    return emulatesV3(version) ? undefined : `${version.split('\n')[0] ?? binary} emulates none, which is new in 7.2`
  }
  const flags = await cpuFlags()
  const lacking = flags ? lackingForV3(flags) : []
  return lacking.length === 0 ? undefined : `that of this host lacks ${lacking.join(', ')}`
}
