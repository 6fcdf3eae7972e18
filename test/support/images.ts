import {execFileSync} from 'node:child_process'
import {createHash} from 'node:crypto'
import {existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {createHttpSource} from '../../src/image/http.ts'
import type {HttpOptions} from '../../src/image/http-client.ts'
import type {ImageStore} from '../../src/image/image-store.ts'

/** Memory where there is some: these tests flush hundreds of small files, and a loaded disk would make them slow. */
export const makeDirectory = (): string => mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'vmctl-image-'))

export interface Scratch extends Disposable {
  readonly path: string
  readonly store: ImageStore
}

/** A temporary directory with an empty image store in it. Retries are quick. */
export const makeScratch = (http: HttpOptions = {}): Scratch => {
  const path = makeDirectory()
  const sources = [createHttpSource({retryDelayMs: 1, idleTimeoutMs: 2000, ...http})]
  return {
    path,
    store: {directory: join(path, 'images'), lockDirectory: join(path, 'locks'), sources},
    [Symbol.dispose]: () => rmSync(path, {recursive: true, force: true}),
  }
}

/** A raw disk: an MBR signature and bytes that depend on `seed`, the second half zeros. */
export const makeRawDisk = (sizeBytes: number, seed = 1): Buffer => {
  const disk = Buffer.alloc(sizeBytes)
  for (let at = 0, state = seed; at + 4 <= sizeBytes / 2; at += 4) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    disk.writeUInt32LE(state, at)
  }
  disk.writeUInt16LE(0xaa55, 510)
  return disk
}

/** An empty image made by qemu-img, as bytes. */
export const makeImage = (directory: string, format: string, ...options: readonly string[]): Buffer => {
  const path = join(directory, `made.${format}`)
  rmSync(path, {force: true})
  execFileSync('qemu-img', ['create', '-q', '-f', format, ...options, path, '64M'])
  return readFileSync(path)
}

/** A qcow2 of a disk whose clusters are compressed. */
export const makeCompressed = (directory: string, disk: Buffer, ...options: readonly string[]): Buffer => {
  const [raw, path] = [join(directory, 'made.raw'), join(directory, 'made.qcow2')]
  writeFileSync(raw, disk)
  execFileSync('qemu-img', ['convert', '-q', '-c', '-f', 'raw', '-O', 'qcow2', ...options, raw, path])
  return readFileSync(path)
}

/** A qcow2 of 1 TiB in half a megabyte: all of its clusters are the same compressed one. */
export const makeClusterBomb = (directory: string): Buffer => {
  const path = join(directory, 'made.qcow2')
  writeFileSync(path, makeCompressed(directory, Buffer.alloc(65_536, 'bomb')))
  execFileSync('qemu-img', ['resize', '-q', '-f', 'qcow2', path, '1T'])
  const image = readFileSync(path)
  const l1 = Number(image.readBigUInt64BE(40))
  const first = image.readBigUInt64BE(l1)
  const l2 = Number(first & 0xff_ffff_ffff_fe00n)
  for (let entry = 1; entry < image.readUInt32BE(36); entry++) image.writeBigUInt64BE(first, l1 + entry * 8)
  for (let entry = 1; entry < 8192; entry++) image.copy(image, l2 + entry * 8, l2, l2 + 8)
  return image
}

/** A VHDX of 8 MiB whose block table claims a length: a reader that believes it allocates that much. */
export const makeGreedyVhdx = (directory: string, tableBytes: number): Buffer => {
  const image = makeImage(directory, 'vhdx')
  const blockTable = '6677c22d23f600429d64115e9bfd4a08'
  for (const start of [192, 256]) {
    const regions = image.subarray(start * 1024, (start + 64) * 1024)
    const at = regions.indexOf(Buffer.from(blockTable, 'hex'))
    regions.writeBigUInt64LE(16n * 2n ** 20n, at + 16)
    regions.writeUInt32LE(tableBytes, at + 24)
    regions.writeUInt32LE(0, 4)
    regions.writeUInt32LE(crc32c(regions), 4)
  }
  return image
}

const crc32c = (bytes: Buffer): number => {
  let sum = 0xffff_ffff
  for (const byte of bytes) {
    sum ^= byte
    for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ 0x82f6_3b78 : sum >>> 1
  }
  return (sum ^ 0xffff_ffff) >>> 0
}

export const digestOf = (content: Buffer, algorithm = 'sha256'): string => createHash(algorithm).update(content).digest('hex')

/** Pipes bytes through a program of the host: `xz`, `zstd`, … */
export const through = (content: Buffer, program: string, ...args: readonly string[]): Buffer =>
  execFileSync(program, ['-c', '-q', ...args], {input: content, maxBuffer: 2 ** 30})
