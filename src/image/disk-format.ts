import type {ImageFormat} from '../model/vm.ts'
import {parseQcow2Header} from './qcow2-header.ts'

/** What the first bytes of a file say about it. */
export type Sniffed =
  | {readonly kind: 'disk'; readonly format: ImageFormat}
  /** A disk image that vmctl does not open, why, and what its header says as far as it was read. */
  | {
      readonly kind: 'refused'
      readonly reason: string
      readonly format?: ImageFormat
      readonly virtualSizeBytes?: number
      readonly backingFile?: string
    }
  /** Nothing that is known; `looksLike` helps to explain (`an HTML page`). */
  | {readonly kind: 'unknown'; readonly looksLike: string}

/** Bytes from the start of a file that `sniffDisk` wants to see; the btrfs magic lies last. */
export const sniffBytes = 72 * 1024

const at = (head: Buffer, offset: number, magic: string): boolean =>
  head.subarray(offset, offset + magic.length).equals(Buffer.from(magic, 'latin1'))

/** Formats that QEMU knows and vmctl does not take, by their magic. */
const foreign: readonly (readonly [offset: number, magic: string, name: string])[] = [
  [0, 'QED\0', 'a QED image'],
  [0, 'conectix', 'a VHD (Virtual PC) image'],
  [0, 'WithoutFreeSpace', 'a Parallels image'],
  [0, 'WithouFreSpacExt', 'a Parallels image'],
  [0, 'Bochs Virtual HD Image', 'a Bochs image'],
  [0, '#!/bin/sh\n#V2.0 Format\nmodprobe cloop', 'a cloop image'],
  [0, 'LUKS\xba\xbe', 'encrypted (LUKS)'],
  [0, 'COWD', 'an old VMware (COWD) image'],
]

/** What makes a raw disk recognisable: a partition table, a file system or a CD image. */
const rawMagics: readonly (readonly [offset: number, magic: string])[] = [
  [510, '\x55\xaa'],
  [512, 'EFI PART'],
  [4096, 'EFI PART'],
  [512, 'LABELONE'],
  [1080, '\x53\xef'],
  [0, 'XFSB'],
  [0, 'hsqs'],
  [32_769, 'CD001'],
  [65_600, '_BHRfS_M'],
]

/** Which kind of disk image this is. Looks at bytes only: no name, no other program, no other file. */
export const sniffDisk = (head: Buffer, fileBytes: number): Sniffed => {
  const qcow2 = parseQcow2Header(head, fileBytes)
  if (qcow2) {
    const [objection] = qcow2.objections
    if (objection === undefined) return {kind: 'disk', format: 'qcow2'}
    const {backingFile, virtualSizeBytes} = qcow2
    return {
      kind: 'refused',
      reason: objection,
      format: 'qcow2',
      virtualSizeBytes: Number(virtualSizeBytes),
      ...(backingFile === undefined ? {} : {backingFile}),
    }
  }
  if (at(head, 0, 'KDMV')) return sniffVmdk(head)
  if (/^\s*#\s*disk descriptorfile/i.test(head.subarray(0, 256).toString('latin1'))) {
    return {kind: 'refused', reason: 'it is a VMDK descriptor, which only names other files'}
  }
  if (head.length >= 68 && head.readUInt32LE(64) === 0xbeda_107f) return {kind: 'disk', format: 'vdi'}
  if (at(head, 0, 'vhdxfile')) return {kind: 'disk', format: 'vhdx'}
  for (const [offset, magic, name] of foreign) {
    if (at(head, offset, magic)) return {kind: 'refused', reason: `it is ${name}`}
  }
  if (rawMagics.some(([offset, magic]) => at(head, offset, magic))) return {kind: 'disk', format: 'raw'}
  return {kind: 'unknown', looksLike: describe(head)}
}

/** A sparse VMDK carries its own descriptor, which may name a parent or further extents. */
const sniffVmdk = (head: Buffer): Sniffed => {
  if (head.length < 512) return {kind: 'refused', reason: 'its header is cut off'}
  // Without a capacity QEMU takes the file for a descriptor and opens what it names.
  if (head.readBigUInt64LE(12) === 0n) return {kind: 'refused', reason: 'it is a VMDK descriptor, which only names other files'}
  const start = head.readBigUInt64LE(28) * 512n
  const length = head.readBigUInt64LE(36) * 512n
  if (length === 0n) return {kind: 'disk', format: 'vmdk'}
  if (length > 65_536n || start + length > BigInt(head.length)) return {kind: 'refused', reason: 'its descriptor lies at an unusual place'}
  const descriptor = head.subarray(Number(start), Number(start + length)).toString('latin1')
  if (/parentfilenamehint/i.test(descriptor) || !/^\s*parentcid\s*=\s*ffffffff\s*$/im.test(descriptor)) {
    return {kind: 'refused', reason: 'it has a parent (backing) file'}
  }
  const extents = descriptor.match(/^\s*(?:rw|rdonly|noaccess)\s.*$/gim) ?? []
  return extents.length === 1 && /\ssparse\s/i.test(extents[0])
    ? {kind: 'disk', format: 'vmdk'}
    : {kind: 'refused', reason: 'it spreads over several files'}
}

const describe = (head: Buffer): string => {
  if (head.length === 0) return 'an empty file'
  const text = head.subarray(0, 512)
  if (/^\s*<(?:!doctype|html|\?xml|head|body)/i.test(text.toString('latin1'))) return 'an HTML or XML page'
  if (text.every((byte) => byte >= 0x20 || (byte >= 0x09 && byte <= 0x0d))) return 'a text file'
  if (text.every((byte) => byte === 0)) return 'zeros'
  return 'no disk image that is known'
}
