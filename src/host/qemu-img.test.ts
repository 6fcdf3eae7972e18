import {execFileSync} from 'node:child_process'
import {mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {beforeEach, describe, expect, it, onTestFinished} from 'vitest'

import {temporaryDirectory} from '../../test/support/builders.ts'
import {makeClusterBomb, makeDirectory} from '../../test/support/images.ts'
import {missingProgram, testUnless} from '../../test/support/programs.ts'
import type {BaseImage} from '../model/vm.ts'
import {convertImage, createOverlay, growImage, imageInfo, repointOverlay} from './qemu-img.ts'

const MiB = 2 ** 20
let directory: string

beforeEach(() => {
  directory = temporaryDirectory()
})

const makeBase = (name = 'base.qcow2', size = '64M'): BaseImage => {
  const path = join(directory, name)
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, size])
  return {path, format: 'qcow2', virtualSizeBytes: 64 * MiB}
}

describe('an overlay', () => {
  it('reads through to its base and has the size that was asked for', async () => {
    const base = makeBase()
    const path = join(directory, 'overlay.qcow2')
    await createOverlay(base, path, {sizeBytes: 100 * MiB})
    await expect(imageInfo(path, {format: 'qcow2'})).resolves.toMatchObject({
      format: 'qcow2',
      virtualSizeBytes: 100 * MiB,
      backingFile: base.path,
    })
    await createOverlay(base, path)
    await expect(imageInfo(path, {format: 'qcow2'})).resolves.toMatchObject({virtualSizeBytes: 64 * MiB})
    expect(readdirSync(directory).toSorted()).toEqual(['base.qcow2', 'overlay.qcow2'])
  })

  it('is never smaller than its base', async () => {
    const path = join(directory, 'overlay.qcow2')
    await expect(createOverlay(makeBase(), path, {sizeBytes: 63 * MiB})).rejects.toMatchObject({code: 'vmctl::image::disk_too_small'})
    expect(readdirSync(directory)).toEqual(['base.qcow2'])
  })

  it('leaves nothing behind when it cannot be made', async () => {
    const base = {...makeBase(), format: 'vdi'} as const
    await expect(createOverlay(base, join(directory, 'overlay.qcow2'))).rejects.toMatchObject({
      code: 'vmctl::image::overlay_creation_failed',
    })
    expect(readdirSync(directory)).toEqual(['base.qcow2'])
  })

  it.each([
    'a,b=c',
    'backing_fmt=raw,size=1',
    '-o help',
    'json:{"driver":"null-co"}',
    'nbd:localhost:1',
    'quote\'s "x"',
    'ümläut',
    '%s',
    'line\nbreak',
  ])('takes %j as a plain name', async (name) => {
    mkdirSync(join(directory, `${name} dir`))
    const base = makeBase(join(`${name} dir`, `${name}.qcow2`))
    const path = join(directory, `${name} dir`, `${name}.overlay`)
    await createOverlay(base, path)
    await expect(imageInfo(path, {format: 'qcow2'})).resolves.toMatchObject({backingFile: base.path})
  })

  it('follows a base that has moved, and keeps what was written to it', async () => {
    const base = makeBase()
    const path = join(directory, 'overlay.qcow2')
    await createOverlay(base, path)
    execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'write -P 7 0 64k', path])
    const moved = {...base, path: join(directory, 'moved.qcow2')}
    renameSync(base.path, moved.path)
    await repointOverlay(moved, path)
    await expect(imageInfo(path, {format: 'qcow2'})).resolves.toMatchObject({backingFile: moved.path})
    expect(
      execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'read -P 7 0 64k', '-c', 'read -P 0 64k 64k', path], {encoding: 'utf8'}),
    ).not.toContain('verification failed')
  })

  const writeScattered = (path: string): void => {
    const writes = Array.from({length: 150}, (_, index) => ['-c', `write -P 9 ${index * 256}k 4k`]).flat()
    execFileSync('qemu-io', ['-t', 'unsafe', '-f', 'qcow2', ...writes, path], {stdio: 'ignore'})
  }

  it('takes little for scattered writes, unless what opens it is too old for that', async () => {
    const base = makeBase()
    execFileSync('qemu-io', ['-t', 'unsafe', '-f', 'qcow2', '-c', 'write -P 5 0 64m', base.path])
    const old = join(directory, 'old-qemu')
    const paths = [] as string[]
    for (const version of ['5.1.0', '5.2.0', '11.0.50']) {
      writeFileSync(old, `#!/bin/sh\necho 'QEMU emulator version ${version} (Debian)'\n`, {mode: 0o755})
      const path = join(directory, `${version}.qcow2`)
      await createOverlay(base, path, {program: old})
      writeScattered(path)
      expect((await imageInfo(path, {format: 'qcow2'})).backingFile).toBe(base.path)
      paths.push(path)
    }
    const [before = 0, ...since] = paths.map((path) => statSync(path).blocks * 512)
    expect(before).toBeGreaterThan(150 * 65_536)
    for (const bytes of since) expect(bytes).toBeLessThan(before / 5)
    for (const path of paths) {
      await growImage(path, 80 * MiB)
      const reads = ['-c', 'read -P 9 256k 4k', '-c', 'read -P 5 260k 200k', '-c', 'read -P 0 64m 16m']
      expect(execFileSync('qemu-io', ['-f', 'qcow2', ...reads, path], {encoding: 'utf8'})).not.toContain('verification failed')
    }
  })

  it('needs absolute paths', async () => {
    await expect(createOverlay({...makeBase(), path: 'base.qcow2'}, join(directory, 'o'))).rejects.toThrow(TypeError)
  })
})

it('grows an image and never shrinks it', async () => {
  const {path} = makeBase()
  await growImage(path, 80 * MiB)
  await growImage(path, 80 * MiB)
  await expect(imageInfo(path, {format: 'qcow2'})).resolves.toMatchObject({virtualSizeBytes: 80 * MiB})
  await expect(growImage(path, 64 * MiB)).rejects.toMatchObject({code: 'vmctl::image::disk_too_small'})
})

it('converts, keeping holes, and leaves nothing behind when it fails', async () => {
  const base = makeBase()
  const raw = join(directory, 'disk.raw')
  await convertImage(base, {path: raw, format: 'raw'})
  expect(statSync(raw).size).toBe(64 * MiB)
  expect(statSync(raw).blocks * 512).toBeLessThan(MiB)
  writeFileSync(join(directory, 'text'), 'no image')
  const failing = convertImage({path: join(directory, 'text'), format: 'qcow2'}, {path: join(directory, 'out'), format: 'raw'})
  await expect(failing).rejects.toMatchObject({code: 'vmctl::image::conversion_failed'})
  expect(readdirSync(directory).toSorted()).toEqual(['base.qcow2', 'disk.raw', 'text'])
})

it('converts the image of a stranger under limits, and leaves nothing behind', async () => {
  const memory = makeDirectory()
  onTestFinished(() => rmSync(memory, {recursive: true}))
  const path = join(memory, 'bomb.qcow2')
  writeFileSync(path, makeClusterBomb(memory))
  const before = readdirSync(memory)
  const convert = (limits: {readonly cpuSeconds: number; readonly fileBytes: number}) =>
    convertImage({path, format: 'qcow2'}, {path: join(memory, 'out'), format: 'qcow2'}, {limits})
  await expect(convert({cpuSeconds: 60, fileBytes: 4 * MiB})).rejects.toMatchObject({code: 'vmctl::image::no_space'})
  await expect(convert({cpuSeconds: 1, fileBytes: 2 ** 40})).rejects.toMatchObject({
    code: 'vmctl::image::conversion_failed',
    message: expect.stringContaining('CPU time'),
  })
  expect(readdirSync(memory)).toEqual(before)
})

it('says that QEMU is missing', async () => {
  const base = makeBase()
  const {PATH} = process.env
  try {
    process.env.PATH = directory
    await expect(imageInfo(base.path)).rejects.toMatchObject({code: 'vmctl::qemu::not_installed'})
    await expect(createOverlay(base, join(directory, 'o'))).rejects.toMatchObject({code: 'vmctl::qemu::not_installed'})
  } finally {
    process.env.PATH = PATH
  }
})

testUnless(missingProgram('prlimit'))('says so also where what limits its memory is there', async () => {
  const base = makeBase()
  const {PATH} = process.env
  const limiter = execFileSync('sh', ['-c', 'command -v prlimit'], {encoding: 'utf8'}).trim()
  try {
    process.env.PATH = directory
    execFileSync('/bin/cp', [limiter, directory])
    await expect(imageInfo(base.path)).rejects.toMatchObject({code: 'vmctl::qemu::not_installed'})
  } finally {
    process.env.PATH = PATH
  }
})
