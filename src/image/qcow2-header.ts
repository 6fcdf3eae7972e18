/** What a qcow2 header says, as far as an audit needs it (docs/interop/qcow2.rst of QEMU). */
export interface Qcow2Header {
  readonly version: number
  readonly virtualSizeBytes: bigint
  readonly backingFile?: string
  /** Why the image must not be opened, in words; empty for a self-contained one. */
  readonly objections: readonly string[]
}

const incompatible = {dirty: 1n, corrupt: 2n, dataFile: 4n, compressionType: 8n, extendedL2: 16n}
const knownIncompatible = Object.values(incompatible).reduce((bits, bit) => bits | bit)
const extensionTypes = {end: 0, dataFileName: 0x4441_5441} as const
/** Limits of QEMU itself; a header beyond them is an attack on whoever allocates the tables. */
const limits = {l1Bytes: 32 * 2 ** 20, refcountTableBytes: 8 * 2 ** 20, snapshots: 65_536}

/**
 * Reads the header before any other program does, so that no other program follows a reference in it.
 * @param head the first 64 KiB of the file, or all of it
 * @param fileBytes length of the whole file
 * @returns undefined when it is not qcow2
 */
export const parseQcow2Header = (head: Buffer, fileBytes: number): Qcow2Header | undefined => {
  if (head.length < 4 || head.readUInt32BE(0) !== 0x5146_49fb) return undefined
  if (head.length < 72) return {version: 0, virtualSizeBytes: 0n, objections: ['its header is cut off']}
  const version = head.readUInt32BE(4)
  const virtualSizeBytes = head.readBigUInt64BE(24)
  const backingFile = readBackingFile(head)
  const objections = [
    ...(version === 2 || version === 3 ? [] : [`it is of qcow version ${version}, which is neither 2 nor 3`]),
    ...(backingFile === undefined ? [] : [`it has a backing file: ${JSON.stringify(backingFile)}`]),
    ...(head.readUInt32BE(32) === 0 ? [] : ['it is encrypted']),
    ...tableObjections(head, fileBytes),
    ...(version === 3 ? versionThreeObjections(head) : []),
  ]
  return {version, virtualSizeBytes, objections, ...(backingFile === undefined ? {} : {backingFile})}
}

const readBackingFile = (head: Buffer): string | undefined => {
  const offset = head.readBigUInt64BE(8)
  if (offset === 0n) return undefined
  const start = Number(offset)
  return head.subarray(start, start + Math.min(head.readUInt32BE(16), 1023)).toString('utf8')
}

const tableObjections = (head: Buffer, fileBytes: number): string[] => {
  const objections: string[] = []
  const clusterBits = head.readUInt32BE(20)
  if (clusterBits < 9 || clusterBits > 21) return [`its cluster size is 2^${clusterBits}`]
  if (head.readUInt32BE(36) * 8 > limits.l1Bytes) objections.push('its L1 table is absurdly large')
  if (head.readUInt32BE(56) * 2 ** clusterBits > limits.refcountTableBytes) objections.push('its refcount table is absurdly large')
  if (head.readUInt32BE(60) > limits.snapshots) objections.push('it has an absurd number of snapshots')
  const tables = [
    ['L1', 40],
    ['refcount', 48],
    ['snapshot', 64],
  ] as const
  for (const [name, offset] of tables.slice(0, head.readUInt32BE(60) === 0 ? 2 : 3)) {
    if (head.readBigUInt64BE(offset) >= BigInt(fileBytes))
      objections.push(`its ${name} table lies behind the end of the file (the file is cut off)`)
  }
  return objections
}

const versionThreeObjections = (head: Buffer): string[] => {
  if (head.length < 104) return ['its header is cut off']
  const features = head.readBigUInt64BE(72)
  const objections: string[] = []
  if (features & incompatible.corrupt) objections.push('it is marked as corrupt')
  if (features & incompatible.dataFile) objections.push('it keeps its data in another file')
  if (features & ~knownIncompatible) objections.push(`it needs unknown features (0x${(features & ~knownIncompatible).toString(16)})`)
  if (head.readUInt32BE(96) > 6) objections.push('its refcounts are absurdly wide')
  const length = head.readUInt32BE(100)
  if (length < 104 || length > head.length) return [...objections, `its header claims a length of ${length} bytes`]
  return [...objections, ...extensionObjections(head, length)]
}

const extensionObjections = (head: Buffer, start: number): string[] => {
  for (let at = start; at + 8 <= head.length;) {
    const type = head.readUInt32BE(at)
    const length = head.readUInt32BE(at + 4)
    if (type === extensionTypes.end) return []
    if (type === extensionTypes.dataFileName) return ['it names an external data file']
    if (length > head.length - at - 8) return ['a header extension is longer than the header']
    at += 8 + Math.ceil(length / 8) * 8
  }
  return []
}
