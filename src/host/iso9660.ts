/**
 * A writer of ISO 9660 images (ECMA-119) with one directory, in the three dialects that guests read:
 * plain names for any reader, Joliet (UCS-2 names) for Windows, Rock Ridge (SUSP 1.12, RRIP 1.12) for Unix.
 * The same input gives the same bytes.
 */
import {both16, both32, directoryTime, paddedText, paddedUcs2, ucs2, volumeTime} from './iso9660-fields.ts'

export interface IsoContent {
  /** At most 16 characters, so that Joliet holds it too. */
  readonly volumeId: string
  /** By file name: A-Z a-z 0-9 . _ - and at most 64 characters. */
  readonly files: Readonly<Record<string, Uint8Array>>
  /** Goes into every time stamp, in UTC. */
  readonly date: Date
}

const sectorBytes = 2048
const maxFileBytes = 16 * 2 ** 20

// The layout is fixed: 16 empty sectors, three descriptors, four path tables, two directories, then the files.
const sectors = {primary: 16, joliet: 17, end: 18, tables: 19, directory: 23, jolietDirectory: 24, files: 25} as const

/**
 * Empty sectors at the end, as mkisofs pads: a reader that looks ahead, or for signatures of larger file systems, must not
 * run off the end of a CD-ROM, which is an I/O error there (busybox findfs then finds no label).
 */
const padding = 150

/** @throws RangeError when a name, a size or the number of files does not fit */
export const buildIso = ({volumeId, files, date}: IsoContent): Uint8Array => {
  if (volumeId.length > 16) throw new RangeError(`The volume name ${volumeId} is too long.`)
  let next: number = sectors.files
  const entries = Object.entries(files).map(([name, content]) => {
    if (!/^[A-Za-z0-9._-]{1,64}$/.test(name)) throw new RangeError(`The file name ${JSON.stringify(name)} does not fit an ISO image.`)
    if (content.length > maxFileBytes) throw new RangeError(`The file ${name} is larger than ${maxFileBytes} bytes.`)
    // An empty file has no place.
    const sector = content.length === 0 ? 0 : next
    next += Math.ceil(content.length / sectorBytes)
    return {name, content, sector}
  })
  const total = next + padding
  const image = Buffer.alloc(total * sectorBytes)
  const place = (sector: number, ...parts: readonly Uint8Array[]): void => {
    Buffer.concat(parts).copy(image, sector * sectorBytes)
  }
  for (const [index, joliet] of [false, true].entries()) {
    const directory = joliet ? sectors.jolietDirectory : sectors.directory
    const table = sectors.tables + 2 * index
    place(sectors.primary + index, volumeDescriptor({volumeId, date, joliet, directory, table, total}))
    place(table, pathTable(directory, false))
    place(table + 1, pathTable(directory, true))
    place(directory, directoryExtent(entries, {date, joliet, directory}))
  }
  place(sectors.end, Buffer.from([255]), Buffer.from('CD001'), Buffer.from([1]))
  for (const {content, sector} of entries) image.set(content, sector * sectorBytes)
  return image
}

interface Entry {
  readonly name: string
  readonly content: Uint8Array
  readonly sector: number
}

/** ECMA-119 8.4 (primary) and 8.5 (supplementary, Joliet level 3). */
const volumeDescriptor = (volume: {
  readonly volumeId: string
  readonly date: Date
  readonly joliet: boolean
  readonly directory: number
  readonly table: number
  readonly total: number
}): Buffer => {
  const {joliet, table} = volume
  const text = joliet ? paddedUcs2 : paddedText
  const bigEndianTable = Buffer.alloc(4)
  bigEndianTable.writeUInt32BE(table + 1)
  const littleEndianTable = Buffer.alloc(4)
  littleEndianTable.writeUInt32LE(table)
  const time = volumeTime(volume.date)
  const escapes = Buffer.alloc(32)
  if (joliet) escapes.write('%/E', 'latin1')
  return Buffer.concat([
    Buffer.from([joliet ? 2 : 1]),
    Buffer.from('CD001'),
    Buffer.from([1, 0]),
    text('', 32),
    text(volume.volumeId, 32),
    Buffer.alloc(8),
    both32(volume.total),
    escapes,
    both16(1),
    both16(1),
    both16(sectorBytes),
    both32(pathTableBytes),
    littleEndianTable,
    Buffer.alloc(4),
    bigEndianTable,
    Buffer.alloc(4),
    record(Buffer.from([0]), {sector: volume.directory, bytes: sectorBytes, date: volume.date, isDirectory: true}),
    ...[128, 128, 128, 128, 37, 37, 37].map((length) => text('', length)),
    time,
    time,
    Buffer.from('0'.repeat(16) + '\0'),
    time,
    Buffer.from([1, 0]),
  ])
}

const pathTableBytes = 10

/** ECMA-119 9.4: the root directory only. */
const pathTable = (directory: number, bigEndian: boolean): Buffer => {
  const table = Buffer.alloc(pathTableBytes)
  table[0] = 1
  if (bigEndian) {
    table.writeUInt32BE(directory, 2)
    table.writeUInt16BE(1, 6)
  } else {
    table.writeUInt32LE(directory, 2)
    table.writeUInt16LE(1, 6)
  }
  return table
}

/** The records of the root directory: itself, its parent (itself again), and the files in the order of their names. */
const directoryExtent = (
  entries: readonly Entry[],
  {date, joliet, directory}: {readonly date: Date; readonly joliet: boolean; readonly directory: number},
): Buffer => {
  const self = {sector: directory, bytes: sectorBytes, date, isDirectory: true}
  const named = entries
    .map(({name, content, sector}) => ({
      identifier: joliet ? ucs2(name) : Buffer.from(plainName(name), 'latin1'),
      name,
      extent: {sector, bytes: content.length, date, isDirectory: false},
    }))
    .toSorted((left, right) => left.identifier.compare(right.identifier))
  if (new Set(named.map(({identifier}) => identifier.toString('latin1'))).size < named.length) {
    throw new RangeError('Two file names are the same in their short form.')
  }
  const extent = Buffer.concat([
    record(Buffer.from([0]), self, joliet ? undefined : Buffer.concat([sharingProtocol, posixAttributes(0o40500), extensionReference])),
    record(Buffer.from([1]), self, joliet ? undefined : posixAttributes(0o40500)),
    ...named.map(({identifier, name, extent: file}) =>
      record(identifier, file, joliet ? undefined : Buffer.concat([posixAttributes(0o100400), alternateName(name)])),
    ),
  ])
  if (extent.length > sectorBytes) throw new RangeError('There are too many files for one directory sector.')
  return extent
}

/** A name of ISO 9660 level 1: eight and three capitals or digits, version 1. `user-data` becomes `USERDATA.;1`. */
const plainName = (name: string): string => {
  const dot = name.lastIndexOf('.')
  const [stem, extension] = dot > 0 ? [name.slice(0, dot), name.slice(dot + 1)] : [name, '']
  const short = (text: string, length: number): string =>
    text
      .toUpperCase()
      .replaceAll(/[^A-Z0-9]/g, '')
      .slice(0, length)
  return `${short(stem, 8) || 'FILE'}.${short(extension, 3)};1`
}

/** ECMA-119 9.1. */
const record = (
  identifier: Buffer,
  extent: {readonly sector: number; readonly bytes: number; readonly date: Date; readonly isDirectory: boolean},
  systemUse: Buffer = Buffer.alloc(0),
): Buffer => {
  // The identifier is padded so that what follows starts at an even offset; records have even lengths.
  const filler = Buffer.alloc(identifier.length % 2 === 0 ? 1 : 0)
  const body = Buffer.concat([
    Buffer.from([0]),
    both32(extent.sector),
    both32(extent.bytes),
    directoryTime(extent.date),
    Buffer.from([extent.isDirectory ? 2 : 0, 0, 0]),
    both16(1),
    Buffer.from([identifier.length]),
    identifier,
    filler,
    systemUse,
    Buffer.alloc(systemUse.length % 2),
  ])
  return Buffer.concat([Buffer.from([body.length + 1]), body])
}

const systemUseEntry = (signature: string, version: number, data: Buffer): Buffer =>
  Buffer.concat([Buffer.from(signature), Buffer.from([data.length + 4, version]), data])

/** SUSP 5.3: says in the first record that the fields after it are SUSP entries. */
const sharingProtocol = systemUseEntry('SP', 1, Buffer.from([0xbe, 0xef, 0]))

/** RRIP 4.1.1 (the form without a serial number): mode, links, owner 0, group 0. */
const posixAttributes = (mode: number): Buffer => systemUseEntry('PX', 1, Buffer.concat([both32(mode), both32(1), both32(0), both32(0)]))

/** RRIP 4.1.4. */
const alternateName = (name: string): Buffer => systemUseEntry('NM', 1, Buffer.concat([Buffer.from([0]), Buffer.from(name)]))

/** SUSP 5.5 and RRIP 4.3: names Rock Ridge as the extension in use. */
const extensionReference = (() => {
  const identifier = 'RRIP_1991A'
  const description = 'THE ROCK RIDGE INTERCHANGE PROTOCOL PROVIDES SUPPORT FOR POSIX FILE SYSTEM SEMANTICS'
  return systemUseEntry(
    'ER',
    1,
    Buffer.concat([Buffer.from([identifier.length, description.length, 0, 1]), Buffer.from(identifier + description)]),
  )
})()
