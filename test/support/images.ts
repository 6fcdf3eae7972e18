import {execFileSync} from 'node:child_process'
import {createHash} from 'node:crypto'
import {existsSync, mkdtempSync, readFileSync, rmSync} from 'node:fs'
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

export const digestOf = (content: Buffer, algorithm = 'sha256'): string => createHash(algorithm).update(content).digest('hex')

/** Pipes bytes through a program of the host: `xz`, `zstd`, … */
export const through = (content: Buffer, program: string, ...args: readonly string[]): Buffer =>
  execFileSync(program, ['-c', '-q', ...args], {input: content, maxBuffer: 2 ** 30})
