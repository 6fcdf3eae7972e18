import {VmctlError} from '../model/errors.ts'

export type Compression = 'zstd' | 'gzip' | 'xz' | 'bzip2'

export interface DecompressOptions {
  readonly signal: AbortSignal
  /** Compressed bytes read so far, and in all. */
  readonly onProgress?: (progress: {readonly readBytes: number; readonly totalBytes: number}) => void
}

const extensions: Readonly<Record<string, Compression>> = {
  '.zst': 'zstd',
  '.zstd': 'zstd',
  '.gz': 'gzip',
  '.xz': 'xz',
  '.bz2': 'bzip2',
}

const extensionOf = (name: string): string => /\.[a-z0-9]+$/i.exec(name)?.[0].toLowerCase() ?? ''

const byMagic = (head: Buffer): Compression | undefined => {
  if (head.length >= 4) {
    const magic = head.readUInt32LE(0)
    if (magic === 0xfd2f_b528 || isSkippableFrame(magic)) return 'zstd'
  }
  if (head[0] === 0x1f && head[1] === 0x8b && head[2] === 8) return 'gzip'
  if (head.subarray(0, 6).equals(Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]))) return 'xz'
  // The second part is the magic of the first block, or of the end of an empty stream.
  const start = head.subarray(0, 10).toString('latin1')
  if (/^BZh[1-9]/.test(start) && (start.endsWith('1AY&SY') || start.endsWith('\x17rE8P\x90'))) return 'bzip2'
  return undefined
}

/** Magic numbers of the frames that a zstd decoder skips (RFC 8878, 3.1.2). */
export const isSkippableFrame = (magic: number): boolean => (magic & 0xffff_fff0) >>> 0 === 0x184d_2a50

/**
 * How a file is compressed. The first bytes decide; a name that promises another compression is an error, because
 * the file is then not what was published.
 * @throws VmctlError `vmctl::image::decompression_failed`
 */
export const detectCompression = (name: string, head: Buffer): Compression | undefined => {
  const promised = extensions[extensionOf(name)]
  const found = byMagic(head)
  if (promised !== undefined && promised !== found) {
    throw new VmctlError(
      'vmctl::image::decompression_failed',
      `${name} is not compressed with ${promised}, as its name says${found === undefined ? '' : `, but with ${found}`}.`,
    )
  }
  return found
}

/** How a disk is packed: compressed, which may be an archive inside, or an archive as it is. */
export type Packing = Compression | 'tar'

/** Whether a file begins like a tar archive (POSIX, "ustar Interchange Format"; those of GNU tar do too). */
export const isTar = (head: Buffer): boolean => head.toString('latin1', 257, 262) === 'ustar'

/** As `detectCompression`, with tar archives. */
export const detectPacking = (name: string, head: Buffer): Packing | undefined =>
  detectCompression(name, head) ?? (isTar(head) ? 'tar' : undefined)

/** Bytes that `detectPacking` wants to see. */
export const packingBytes = 512
