import {group, hostPath, type KdlNode, node, withProps} from '../kdl.ts'
import {fieldsOf, flag, leftOver, listOf, readerOf, type Reader, take, textOf} from './reader.ts'
import type {Names} from './names.ts'

interface Mount {
  readonly source: string
  readonly target: string
  readonly readOnly: boolean
  readonly automount: boolean
  readonly options: readonly string[]
}

/** `source:target[:options]`, or the same as fields. */
export const mountNode = (given: unknown, volumes: Names, reader: Reader): KdlNode | undefined => {
  const mount = readMount(given, reader)
  if (!mount) {
    const shown = typeof given === 'string' ? JSON.stringify(given) : `at ${textOf(fieldsOf(given).target) ?? 'no place'}`
    reader.warnings.about(reader.place, `the volume ${shown} is left out: it is neither a volume nor a folder with a place in the guest`)
    return undefined
  }
  const {source, target, automount, options} = mount
  const readOnly = mount.readOnly ? true : undefined
  const volume = volumes.get(source)
  if (volume !== undefined) return withProps(node('volume', volume, target), {'read-only': readOnly})
  if (!/^[./~]|\//.test(source)) {
    reader.warnings.about(
      reader.place,
      `the volume ${source} is left out: it is not declared; write \`volume "${source}"\` at the top level, or ./${source} for a folder`,
    )
    return undefined
  }
  const share = group('share', [hostPath(source), target], options.length === 0 ? [] : [node('options', ...options)])
  return withProps(options.length === 0 ? {name: share.name, args: share.args} : share, {
    'read-only': readOnly,
    automount: automount ? undefined : false,
  })
}

const readMount = (given: unknown, reader: Reader): Mount | undefined => {
  if (typeof given === 'string') return readShort(given, reader)
  return readLong(given, reader)
}

const readShort = (given: string, reader: Reader): Mount | undefined => {
  const [, source, target, modes = ''] = /^([^:]+):([^:]+)(?::(.*))?$/.exec(given) ?? []
  if (source === undefined || target === undefined) return undefined
  const words = modes.split(',').map((word) => word.trim())
  for (const word of words)
    if (!['', 'ro', 'rw'].includes(word))
      reader.warnings.about(reader.place, `the option ${word} of the volume ${source} is left out: vmctl has ro and rw`)
  return {source, target, readOnly: words.includes('ro'), automount: true, options: []}
}

const readLong = (given: unknown, reader: Reader): Mount | undefined => {
  const long = readerOf(`${reader.place}: a volume`, given, reader.warnings)
  const source = textOf(take(long, 'source'))
  const target = textOf(take(long, 'target'))
  const isReadOnly = flag(long, 'read_only')
  const automount = flag(long, 'automount') !== false
  const type = textOf(take(long, 'type'))
  const options = listOf(take(long, 'mount_options'))
    .flatMap((one) => (textOf(one) ?? '').split(','))
    .map((option) => option.trim())
  leftOver(long)
  const isKnown = type === undefined || type === 'bind' || type === 'volume'
  if (!isKnown || source === undefined || target === undefined) return undefined
  const readOnly = isReadOnly === true || options.includes('ro')
  return {source, target, readOnly, automount, options: options.filter((option) => !['', 'ro', 'rw'].includes(option))}
}

/** `{pci: "01:00.0", rom_file: …}`, or an address of the PCI bus alone. */
export const deviceNode = (given: unknown, reader: Reader): KdlNode | undefined => {
  if (typeof given === 'string') {
    if (/^(?:[\da-f]{4}:)?[\da-f]{2}:[01][\da-f]\.[0-7]$/i.test(given)) return node('device', 'pci', given)
    reader.warnings.about(reader.place, `the device ${given} is left out: a VM gets devices of the PCI bus, as \`device "pci" "01:00.0"\``)
    return undefined
  }
  const fields = readerOf(`${reader.place}: a device`, given, reader.warnings)
  const address = textOf(take(fields, 'pci'))
  const rom = textOf(take(fields, 'rom_file'))
  if (address === undefined) fields.warnings.about(fields.place, 'it is left out: it has no PCI address')
  leftOver(fields)
  return address === undefined
    ? undefined
    : withProps(node('device', 'pci', address), {'rom-file': rom === undefined ? undefined : hostPath(rom)})
}
