import {isVmctlError, VmctlError} from '../../model/errors.ts'
import type {VmSpec} from '../../model/vm.ts'
import {parseVmfile} from '../../vmfile/index.ts'

/** What a one-off VM gets besides its machine, each as a flag says it. */
export interface Extras {
  /** `8080:80`, as in `port`. */
  readonly port?: readonly string[] | undefined
  /** `SOURCE:TARGET[:ro]`. */
  readonly share?: readonly string[] | undefined
  /** `NAME:TARGET[:ro]`. */
  readonly volume?: readonly string[] | undefined
  readonly package?: readonly string[] | undefined
  readonly runcmd?: readonly string[] | undefined
  /** Address of a PCI device. */
  readonly device?: readonly string[] | undefined
}

/** A line of a VMFile, and the flag that it stands for. */
interface Line {
  readonly text: string
  readonly flag: string
  readonly value: string
}

/** KDL Document Language 2.0.0, 3.10: a quoted string on one line. */
const quoted = (text: string): string =>
  `"${text
    .replaceAll(/["\\]/g, String.raw`\$&`)
    .replaceAll(/[\0-\u001F\u007F-\u009F\u2028\u2029\uFEFF]/g, (character) => `\\u{${character.charCodeAt(0).toString(16)}}`)}"`

/** `SOURCE:TARGET[:ro]` as the arguments of `share` and `volume`; what is missing is left to the reader of the VMFile. */
const mount = (value: string): string => {
  const [, source = value, target, readOnly] = /^(.*?):([^:]*)(:ro)?$/s.exec(value) ?? []
  return [quoted(source), ...(target === undefined ? [] : [quoted(target)]), ...(readOnly === undefined ? [] : ['read-only=#true'])].join(
    ' ',
  )
}

const nodes: Readonly<Record<keyof Extras, (value: string) => string>> = {
  port: (value) => `port ${quoted(value)}`,
  share: (value) => `share ${mount(value)}`,
  volume: (value) => `volume ${mount(value)}`,
  device: (value) => `device "pci" ${quoted(value)}`,
  package: (value) => `cloud-init { packages ${quoted(value)}; }`,
  runcmd: (value) => `cloud-init { runcmd ${quoted(value)}; }`,
}

/** The fields of a spec that extras give. */
export type ExtraFields = Pick<VmSpec, 'ports' | 'shares' | 'volumes' | 'devices' | 'firmware'> & {
  readonly packages: readonly string[]
  readonly runCommands: NonNullable<VmSpec['cloudInit']>['runCommands']
}

/**
 * Reads extras as the VMFile reads its own nodes, so that both accept and refuse the same.
 * @param directory where relative paths start; volumes of one name and directory are the same volume
 * @throws VmctlError `vmctl::usage::invalid` with the flag and what is wrong with its value
 */
export const readExtras = async (extras: Extras, directory: string): Promise<ExtraFields> => {
  const kinds = Object.keys(nodes) as (keyof Extras)[]
  const lines = kinds.flatMap((flag) => (extras[flag] ?? []).map((value): Line => ({text: nodes[flag](value), flag, value})))
  const [inVm, inCloudInit] = [
    lines.filter(({text}) => !text.startsWith('cloud-init')),
    lines.filter(({text}) => text.startsWith('cloud-init')),
  ]
  const {ports, shares, volumes, devices, firmware} = await read(inVm, directory)
  // One at a time: there is one cloud-init block in a VM.
  const cloudInits = await Promise.all(inCloudInit.map(async (line) => (await read([line], directory)).cloudInit))
  return {
    ...(ports && {ports}),
    ...(shares && {shares}),
    ...(volumes && {volumes}),
    ...(devices && {devices, ...(firmware && {firmware})}),
    packages: cloudInits.flatMap((one) => one?.packages ?? []),
    runCommands: cloudInits.flatMap((one) => one?.runCommands ?? []),
  }
}

/** Lines that stand in front of the extras. */
const head = ['vm "run" {', 'image-url "https://localhost/image.qcow2"']

const read = async (lines: readonly Line[], directory: string): Promise<VmSpec> => {
  const names = new Set(lines.flatMap(({text}) => /^volume ("(?:\\.|[^"\\])*")/.exec(text)?.[1] ?? []))
  const text = [...head, ...lines.map((line) => line.text), '}', ...[...names].map((name) => `volume ${name}`)].join('\n')
  try {
    const {vms} = await parseVmfile(text, {path: `${directory}/VMFile.kdl`, directory, file: 'VMFile.kdl', imageSchemes: ['https']})
    const [spec] = vms
    if (!spec) throw new Error('A VMFile with one VM has none.')
    return spec
  } catch (error) {
    const [problem] = isVmctlError(error) ? error.problems.filter(({severity}) => severity === 'error') : []
    if (!problem) throw error
    const line = lines[problem.line - head.length - 1] ?? lines.find(({text: node}) => node.startsWith('volume'))
    throw new VmctlError('vmctl::usage::invalid', `--${line?.flag} ${line?.value}: ${problem.message}`, {
      ...(problem.hint !== undefined && {help: problem.hint}),
    })
  }
}
