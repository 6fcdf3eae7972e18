import {execFileSync} from 'node:child_process'
import {mkdirSync, readdirSync, statfsSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {expect, it} from 'vitest'

import {startImageServer} from '../../test/support/image-server.ts'
import {digestOf, makeRawDisk, makeScratch, through} from '../../test/support/images.ts'
import {ensureImage} from './index.ts'

const {signal} = new AbortController()

/** A file system of 2 MiB, or undefined where this user may not mount one. */
const mountSmall = (path: string): Disposable | undefined => {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', path], {stdio: 'ignore'})
    return {[Symbol.dispose]: () => void execFileSync('umount', [path])}
  } catch {
    return undefined
  }
}

it('a full disk is told as such, nothing but a resumable part is kept, and the next run succeeds', async ({skip}) => {
  using scratch = makeScratch()
  mkdirSync(scratch.store.directory)
  using mounted = mountSmall(scratch.store.directory)
  if (!mounted) skip('this user may not mount a tmpfs')
  await using server = await startImageServer()
  const serve = (path: string, content: Buffer, framing: 'length' | 'chunked' = 'length'): string => {
    server.files.set(path, {content, framing})
    return `${server.origin}${path}`
  }
  const pull = async (source: string) => ensureImage(scratch.store, {kind: 'url', source}, {signal})
  const disks = (): string[] => readdirSync(scratch.store.directory).filter((name) => name.startsWith('sha256-'))
  const full = {code: 'vmctl::image::no_space'}

  const large = makeRawDisk(8_000_000)
  await expect(pull(serve('/known.raw', large))).rejects.toMatchObject(full)
  expect(server.requests[0]?.sentBytes).toBeLessThanOrEqual(large.length)
  await expect(pull(serve('/unknown.raw', large, 'chunked'))).rejects.toMatchObject(full)
  expect(disks()).toEqual([])
  for (const name of readdirSync(join(scratch.store.directory, 'partial'))) expect(name).toMatch(/^[0-9a-f]{64}(?:\.json)?$/)

  // A repetitive disk is small when compressed, and 3 MiB of it do not fit.
  const repetitive = Buffer.from('0123456789abcdef'.repeat(196_608))
  repetitive.writeUInt16LE(0xaa55, 510)
  execFileSync('find', [join(scratch.store.directory, 'partial'), '-type', 'f', '-delete'])
  for (const program of ['gzip', 'bzip2', 'xz']) {
    await expect(pull(serve(`/${program}`, through(repetitive, program))), program).rejects.toMatchObject(full)
    expect(readdirSync(join(scratch.store.directory, 'partial')).filter((name) => !/^[0-9a-f]{64}(?:\.json)?$/.test(name))).toEqual([])
  }
  const content = through(repetitive, 'zstd')
  const packed = serve('/disk.raw.zst', content)
  await expect(pull(packed)).rejects.toMatchObject(full)
  expect(disks()).toEqual([])
  const before = server.requests.length

  execFileSync('mount', ['-o', 'remount,size=32m', scratch.store.directory])
  await expect(pull(packed)).resolves.toMatchObject({sha256: digestOf(content)})
  // The compressed file was whole, so nothing was asked for again.
  expect(server.requests).toHaveLength(before)

  const {bavail, bsize} = statfsSync(scratch.store.directory)
  writeFileSync(join(scratch.store.directory, 'filler'), Buffer.alloc(bavail * bsize))
  await expect(pull(serve('/small.raw', makeRawDisk(100_000)))).rejects.toMatchObject(full)
})
