import {execFileSync} from 'node:child_process'
import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {expect} from 'vitest'

import {connectQmp} from '../../src/hypervisor/qemu/qmp.ts'
import {through} from '../support/images.ts'
import {needs, scenario} from '../support/vm-scenario.ts'

/**
 * A raw disk on which somebody has written what looks like a qcow2 that stands on a file of the host. Whoever guesses the format
 * hands that file to the guest.
 */
const {lab, step, check} = scenario('raw-disk', {missing: needs('qemu-img', 'qemu-io', 'zstd')})

const secret = 'the secret of the host '.repeat(2000)
const diskBytes = 2 ** 24

/** The beginning of a qcow2 whose backing file is the secret. */
const forgedHeader = (): Buffer => {
  const backing = lab.write('secret.raw', secret.padEnd(diskBytes, '.'))
  const image = join(lab.project, 'forged.qcow2')
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', backing, image])
  return readFileSync(image).subarray(0, 65_536)
}

const vm = (name: string, image: string): string => `vm "${name}" {\n  image "${image}" format="raw"\n  memory "64M"\n}\n`

const overlay = (name: string): string => join(lab.directory(name), 'overlay.qcow2')

interface Layer {
  readonly format: string
  readonly filename: string
  readonly 'backing-image'?: Layer
}

/** What QEMU itself has opened for the disk, from the top to the base. */
const openedBy = async (name: string): Promise<string[]> => {
  using qmp = await connectQmp(join(lab.directory(name), 'qmp.sock'), {timeoutMs: 20_000})
  const blocks = (await qmp.execute('query-block')) as {inserted?: {image: Layer}}[]
  const formats: string[] = []
  const top = blocks.find(({inserted}) => inserted?.image.format === 'qcow2')?.inserted?.image
  for (let layer = top; layer; layer = layer['backing-image']) formats.push(layer.format)
  return formats
}

const readsDisk = (name: string, pattern: Buffer): void => {
  const image = join(lab.project, 'seen.raw')
  execFileSync('qemu-img', ['convert', '-U', '-f', 'qcow2', '-O', 'raw', overlay(name), image])
  const seen = readFileSync(image)
  expect(seen.length).toBe(diskBytes)
  expect(seen.subarray(0, pattern.length).equals(pattern)).toBe(true)
  expect(seen.includes('the secret')).toBe(false)
}

const expectRaw = async (): Promise<void> => {
  for (const name of ['placed', 'cached', 'written']) {
    expect(await openedBy(name), name).toEqual(['qcow2', 'raw'])
    readsDisk(name, forgedHeader())
  }
}

step('up with such a disk in its place and in the cache, and with one on which a guest writes it', async () => {
  const disk = Buffer.concat([forgedHeader(), Buffer.alloc(diskBytes - 65_536)])
  lab.write('placed.raw', disk)
  lab.write('cached.raw.zst', through(disk, 'zstd'))
  lab.write('plain.raw', Buffer.alloc(diskBytes, 'x'))
  lab.vmfile(vm('placed', 'placed.raw') + vm('cached', 'cached.raw.zst') + vm('written', 'plain.raw'))
  await lab.ok('up')
  await lab.ok('stop', 'written', '--timeout', '1')
  writeFileSync(join(lab.project, 'header'), forgedHeader())
  execFileSync('qemu-io', ['-f', 'qcow2', '-c', `write -s ${join(lab.project, 'header')} 0 64k`, overlay('written')])
  await lab.ok('up')
  await expectRaw()
})

step('restart, stop and start open it as raw', async () => {
  await lab.ok('restart', 'placed', 'cached', 'written', '--timeout', '1')
  await expectRaw()
  await lab.ok('stop', 'placed', 'cached', 'written', '--timeout', '1')
  await lab.ok('start', 'placed', 'cached', 'written')
  await expectRaw()
})

check('status, inspect and verify follow nothing', async () => {
  for (const name of ['placed', 'cached', 'written']) expect(JSON.stringify(await lab.status(name))).not.toContain('secret')
  const inspected = await lab.json<object>('image', 'inspect', 'placed.raw')
  expect(inspected).toMatchObject({format: 'qcow2', objection: expect.stringContaining('it has a backing file')})
  expect(await lab.json<object>('image', 'verify')).toMatchObject({images: [{name: 'cached.raw.zst'}]})
  await expectRaw()
})

check('reload makes the disks anew, from the same raw bytes', async () => {
  await lab.ok('reload')
  for (const name of ['placed', 'cached', 'written']) expect(await openedBy(name)).toEqual(['qcow2', 'raw'])
  readsDisk('placed', forgedHeader())
  readsDisk('cached', forgedHeader())
  readsDisk('written', Buffer.from('xxxx'))
})

check('undeclared, it is refused by its name, not followed', async () => {
  lab.vmfile('vm "guessed" {\n  image "placed.raw"\n  memory "64M"\n}\n')
  const {error} = await lab.jsonError('up')
  expect(error).toMatchObject({code: 'vmctl::image::refused', message: expect.stringContaining('it has a backing file')})
})
