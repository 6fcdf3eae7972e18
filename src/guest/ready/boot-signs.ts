import {stripControls} from '../../model/strip.ts'

/** How far a boot can be followed on the console, in order. */
export const bootStages = ['firmware', 'boot loader', 'kernel', 'system'] as const
export type BootStage = (typeof bootStages)[number]

/** What the console of a guest has shown of its boot. */
export interface BootSigns {
  /** The furthest stage of the boot under way; absent while the console is empty, or says nothing that is known. */
  readonly stage?: BootStage
  /** How often the guest has begun to boot again. */
  readonly restarts: number
  /** What the firmware or the boot loader says when it finds nothing to boot, and no more after that. */
  readonly nothingToBoot?: string
  /** The last line that is not empty, without control characters. */
  readonly lastLine: string
}

/** What was read of a console so far. */
export interface BootLog {
  /** By the lines that are complete. */
  readonly settled: BootSigns
  /** The line that is not complete yet, as the guest wrote it. */
  readonly rest: string
}

export const emptyBootLog: BootLog = {settled: {restarts: 0, lastLine: ''}, rest: ''}

/** Said once by each firmware at the start: SeaBIOS, and OVMF as Debian builds it. */
const banner = /SeaBIOS \(version|UEFI firmware \(version/

const patterns: readonly (readonly [BootStage, RegExp])[] = [
  ['system', /systemd\[1\]:|^Welcome to (?!GRUB)\S.*!|OpenRC |^init: |BusyBox v|^\[ {2}OK {2}\]|cloud-init\[\d+\]| login: *$/],
  ['kernel', /Linux version \d|^\[ *\d+\.\d{6}\]|Decompressing Linux|EFI stub:/],
  ['boot loader', /GRUB |Loading Linux |Loading initial ramdisk|SYSLINUX|ISOLINUX|Booting `|systemd-boot/],
  ['firmware', /SeaBIOS|iPXE|BdsDxe: |UEFI firmware|Booting from /],
]

/** SeaBIOS, OVMF, and GRUB's two prompts of despair. */
const despair =
  /No bootable device|No bootable option or device was found|Boot failed: not a bootable disk|grub rescue>|error: no such (?:partition|device)/

const longestRest = 1000

/** Reads on; `text` may begin and end in the middle of a line. */
export const readBoot = ({settled, rest}: BootLog, text: string): BootLog => {
  const lines = (rest + text).split('\n')
  return {settled: lines.slice(0, -1).reduce(readLine, settled), rest: (lines.at(-1) ?? '').slice(-longestRest)}
}

/** What a console shows, the line included that is not complete: a prompt stays so. */
export const bootSigns = ({settled, rest}: BootLog): BootSigns => readLine(settled, rest)

const readLine = (signs: BootSigns, raw: string): BootSigns => {
  const line = stripControls(raw)
  if (line.trim() === '') return signs
  const {nothingToBoot: _past, ...others} = signs
  const stage = patterns.find(([, pattern]) => pattern.test(line))?.[0]
  const isAgain = signs.stage !== undefined && (banner.test(line) || (stage === 'firmware' && signs.stage !== 'firmware'))
  const furthest = isAgain || isFurther(stage, signs.stage) ? stage : signs.stage
  return {
    ...others,
    ...(furthest !== undefined && {stage: furthest}),
    ...(despair.test(line) && {nothingToBoot: line.trim()}),
    restarts: signs.restarts + (isAgain ? 1 : 0),
    lastLine: line.trim(),
  }
}

const isFurther = (one: BootStage | undefined, other: BootStage | undefined): boolean =>
  one !== undefined && (other === undefined || bootStages.indexOf(one) > bootStages.indexOf(other))
