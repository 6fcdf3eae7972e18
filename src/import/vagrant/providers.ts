import {node} from '../kdl.ts'
import {type Given, type Machine, textOf} from './machine.ts'
import {type Setting, toText, type Value} from './evaluate/values.ts'

/** Providers whose machines are most like those of vmctl come first; the others in the order of the file. */
const preferred = ['libvirt', 'qemu', 'virtualbox', 'vmware_desktop', 'vmware_fusion', 'vmware_workstation', 'parallels', 'hyperv', 'utm']

/** `config.vm.provider`. */
export const readProvider = (machine: Machine, setting: Setting): void => {
  const {warnings} = machine.shared
  const provider = toText(setting.args[0]) ?? 'a provider'
  if (provider === 'docker') {
    warnings.atLine(setting.line, 'the provider docker is left out: its images are containers, which no VM can start from')
    return
  }
  for (const child of setting.children) readOne(machine, provider, child)
}

const readOne = (machine: Machine, provider: string, setting: Setting): void => {
  const {path, line} = setting
  const read = Object.hasOwn(readers, path) ? readers[path] : undefined
  if (read) read(machine, provider, setting)
  else if (path.startsWith('override'))
    machine.shared.leftOut.add('settings for one provider alone (override) are left out', path.replace(/^override\.?/, '') || path, line)
  else leaveOut(machine, provider, setting)
}

type Read = (machine: Machine, provider: string, setting: Setting) => void

const readMemory: Read = (machine, provider, setting) => keep(machine, {provider, setting, into: machine.memory}, setting.args[0])

/** What vmctl chooses itself is not worth a word. */
const readMode: Read = (machine, provider, setting) => {
  if (!['host-passthrough', 'kvm'].includes(toText(setting.args[0]) ?? '')) leaveOut(machine, provider, setting)
}

const readDiskSize: Read = (machine, provider, setting) => {
  const size = sizeIn(setting.args[0])
  if (size === undefined) leaveOut(machine, provider, setting)
  else machine.disk = node('disk', size)
}

const readStorage: Read = (machine, provider, setting) => {
  const size = toText(setting.options.get('size')) ?? ''
  const isDisk = toText(setting.args[0]) === 'file' && toText(setting.options.get('device')) !== 'cdrom'
  if (isDisk && /^\d+[KMGT]i?B?$/i.test(size)) machine.volumes.push({name: `disk${machine.volumes.length + 1}`, size})
  else leaveOut(machine, provider, setting)
}

const leaveOut = ({shared}: Machine, provider: string, {path, line, args}: Setting): void => {
  const [first] = args
  const name = path.endsWith('[]') ? `${path.slice(0, -2)}[${toText(first) ?? ''}]` : path
  shared.leftOut.add(`settings of the provider ${provider} are left out`, name, line)
}

interface Keeping {
  readonly provider: string
  readonly setting: {readonly path: string; readonly line: number}
  readonly into: Map<string, Given>
}

/** Whole numbers are MB, as everywhere in Vagrant; a text may have a unit. */
const sizeIn = (value: Value | undefined): string | number | undefined => {
  const text = (toText(value) ?? '').trim().replaceAll('_', '')
  if (/^\d+$/.test(text)) return Number(text)
  return /^\d+(?:\.\d+)?\s*[MGT]i?B?$/i.test(text) ? text.replaceAll(/\s/g, '') : undefined
}

const keep = ({shared}: Machine, {provider, setting, into}: Keeping, value: Value | undefined): void => {
  const {line} = setting
  const text = textOf(shared, value, {path: setting.path, line})
  const size = typeof value === 'number' && !Number.isInteger(value) ? undefined : sizeIn(text ?? null)
  if (size !== undefined) into.set(provider, {value: size, line})
  else if (text !== undefined)
    shared.warnings.atLine(line, `\`${setting.path}\` is left out: ${JSON.stringify(text)} is no size that vmctl knows`)
}

/** `vb.customize ["modifyvm", :id, "--memory", 1024, "--cpus", 2]`. */
const readCustomize = (machine: Machine, provider: string, setting: Setting): void => {
  const {line} = setting
  const words: readonly Value[] = setting.args.flat()
  for (const [index, word] of words.entries()) {
    const option = toText(word) ?? ''
    if (!option.startsWith('--')) continue
    if (option === '--memory') keep(machine, {provider, setting: {path: '--memory', line}, into: machine.memory}, words[index + 1])
    else if (option === '--cpus') keep(machine, {provider, setting: {path: '--cpus', line}, into: machine.vcpus}, words[index + 1])
    else machine.shared.leftOut.add(`settings of the provider ${provider} are left out`, `customize ${option}`, line)
  }
  if (!words.some((word) => (toText(word) ?? '').startsWith('--')))
    machine.shared.leftOut.add(`settings of the provider ${provider} are left out`, 'customize', line)
}

const readVmx = (machine: Machine, provider: string, setting: Setting): void => {
  const [key, value] = setting.args
  const name = toText(key)
  if (name === 'memsize') keep(machine, {provider, setting: {path: 'memsize', line: setting.line}, into: machine.memory}, value)
  else if (name === 'numvcpus') keep(machine, {provider, setting: {path: 'numvcpus', line: setting.line}, into: machine.vcpus}, value)
  else leaveOut(machine, provider, setting)
}

const readers: Readonly<Record<string, Read>> = {
  memory: readMemory,
  maxmemory: readMemory,
  cpus: (machine, provider, setting) => keep(machine, {provider, setting, into: machine.vcpus}, setting.args[0]),
  customize: readCustomize,
  'vmx[]': readVmx,
  machine_virtual_size: readDiskSize,
  storage: readStorage,
  cpu_mode: readMode,
  driver: readMode,
}

/** The value of the provider that is most like vmctl; the others are named when they differ. */
export const chosen = ({shared}: Machine, word: string, given: ReadonlyMap<string, Given>): string | number | undefined => {
  const [first, ...others] = [...given].toSorted(([a], [b]) => rank(a) - rank(b))
  if (!first) return undefined
  const [provider, {value}] = first
  for (const [other, {value: its, line}] of others)
    if (its !== value) shared.warnings.atLine(line, `${word} is ${value}, from the provider ${provider}; ${other} has another value`)
  return value
}

const rank = (provider: string): number => {
  const found = preferred.indexOf(provider)
  return found < 0 ? preferred.length : found
}
