import {type FileHandle, open} from 'node:fs/promises'

import {ioError} from '../host/files.ts'

/** Bits 9 to 55 of an entry of an L1 table, and of one for a cluster that is not compressed: where in the file it lies. */
const offsetBits = 0x00ff_ffff_ffff_fe00n
const compressed = 1n << 62n
const extendedL2 = 1n << 4n

/** Tables are read up to this many bytes: enough for 512 GB in clusters of 64 KB. What lies behind is taken on trust. */
const mostBytes = 64 * 2 ** 20

interface Layout {
  readonly fileBytes: number
  readonly clusterBits: number
  /** Bytes of an entry of an L2 table. */
  readonly entryBytes: number
}

/** What the tables of a qcow2 file say, as far as they were read. */
export interface Clusters {
  /** Where the last cluster begins that the file needs; the first that lies behind its end is enough. */
  readonly furthest: number
  readonly fileBytes: number
  /** What all clusters hold together, unpacked, without those of zeros. */
  readonly dataBytes: number
  readonly hasCompressed: boolean
}

/**
 * Whether a qcow2 file with a sound header is cut off: then some of its tables or clusters begin behind its end, and whoever reads
 * them gets errors (docs/interop/qcow2.rst of QEMU).
 * @returns why it cannot be used, in words
 */
export const findMissingClusters = async (path: string): Promise<string | undefined> => {
  const {furthest, fileBytes} = await readClusters(path)
  return furthest < fileBytes ? undefined : `it is cut off: some of its data lies behind the end of the file, which has ${fileBytes} bytes`
}

export const readClusters = async (path: string): Promise<Clusters> => {
  try {
    await using handle = await open(path, 'r')
    const {size: fileBytes} = await handle.stat()
    const head = await readAt(handle, 0, 104)
    const features = head.readUInt32BE(4) >= 3 ? head.readBigUInt64BE(72) : 0n
    const layout = {fileBytes, clusterBits: head.readUInt32BE(20), entryBytes: features & extendedL2 ? 16 : 8}
    const l1 = await readAt(handle, Number(head.readBigUInt64BE(40)), head.readUInt32BE(36) * 8)
    return {fileBytes, ...(await surveyTables(handle, l1, layout))}
  } catch (error) {
    throw ioError('read', path, error)
  }
}

type Survey = Omit<Clusters, 'fileBytes'>

const surveyTables = async (handle: FileHandle, l1: Buffer, layout: Layout): Promise<Survey> => {
  const tableBytes = 2 ** layout.clusterBits
  let all: Survey = {furthest: 0, dataBytes: 0, hasCompressed: false}
  let read = 0
  for (let at = 0; at + 8 <= l1.length && read < mostBytes; at += 8) {
    const table = Number(l1.readBigUInt64BE(at) & offsetBits)
    if (table === 0) continue
    const entries = table < layout.fileBytes ? await readAt(handle, table, tableBytes) : undefined
    if (!entries || entries.length < tableBytes) return {...all, furthest: layout.fileBytes}
    read += tableBytes
    const {furthest, dataBytes, hasCompressed} = surveyTable(entries, layout)
    all = {
      furthest: Math.max(all.furthest, furthest),
      dataBytes: all.dataBytes + dataBytes,
      hasCompressed: all.hasCompressed || hasCompressed,
    }
    if (all.furthest >= layout.fileBytes) break
  }
  return all
}

const surveyTable = (entries: Buffer, {clusterBits, entryBytes}: Layout): Survey => {
  const compressedBits = (1n << BigInt(62 - (clusterBits - 8))) - 1n
  let furthest = 0
  let clusters = 0
  let hasCompressed = false
  for (let at = 0; at + entryBytes <= entries.length; at += entryBytes) {
    // Most entries of most images are empty.
    if (entries.readUInt32BE(at) === 0 && entries.readUInt32BE(at + 4) === 0) continue
    const entry = entries.readBigUInt64BE(at)
    const isCompressed = (entry & compressed) !== 0n
    furthest = Math.max(furthest, Number(entry & (isCompressed ? compressedBits : offsetBits)))
    hasCompressed ||= isCompressed
    clusters++
  }
  return {furthest, dataBytes: clusters * 2 ** clusterBits, hasCompressed}
}

const readAt = async (handle: FileHandle, position: number, length: number): Promise<Buffer> => {
  const {buffer, bytesRead} = await handle.read(Buffer.alloc(length), 0, length, position)
  return buffer.subarray(0, bytesRead)
}
