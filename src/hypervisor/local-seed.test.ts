import {execFileSync} from 'node:child_process'
import {createHash} from 'node:crypto'
import {mkdtemp, rm, stat, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import fc from 'fast-check'
import {afterAll, beforeAll, expect, test} from 'vitest'

import {missingProgram, testUnless} from '../../test/support/programs.ts'
import {buildIso} from '../host/iso9660.ts'
import {seedFiles, writeLocalSeed} from './local-seed.ts'

let directory: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'vmctl-iso-'))
})
afterAll(() => rm(directory, {recursive: true}))

const date = new Date('2026-01-02T03:04:05Z')
const documents = {
  metaData: 'instance-id: x\n',
  userData: Buffer.from([0, 255, 10, 13, 10]),
  vendorData: '#cloud-config\n',
  networkConfig: '',
}
const noIsoinfo = missingProgram('isoinfo', ['-version'])

/** Reads an image as a guest does: directory records of one descriptor, by ECMA-119. */
const readFiles = (image: Buffer, descriptor: number): Map<string, Buffer> => {
  const root = image.subarray(descriptor * 2048 + 156)
  const start = root.readUInt32LE(2) * 2048
  const directoryBytes = image.subarray(start, start + root.readUInt32LE(10))
  const files = new Map<string, Buffer>()
  for (let offset = 0; directoryBytes[offset]; offset += directoryBytes[offset] ?? 0) {
    const record = directoryBytes.subarray(offset, offset + (directoryBytes[offset] ?? 0))
    expect(record.readUInt32LE(2)).toBe(record.readUInt32BE(6))
    const name = record.subarray(33, 33 + (record[32] ?? 0))
    if (name.length > 1) {
      const first = record.readUInt32LE(2) * 2048
      files.set(
        descriptor === 17 ? Buffer.from(name).swap16().toString('utf16le') : name.toString(),
        image.subarray(first, first + record.readUInt32LE(10)),
      )
    }
  }
  return files
}

test('the seed is written for this user only, and has the label that cloud-init looks for', async () => {
  await writeLocalSeed({directory, createdAt: date.toISOString()}, documents)
  expect((await stat(join(directory, 'seed.iso'))).mode & 0o777).toBe(0o600)
  await expect(writeLocalSeed({directory: join(directory, 'none'), createdAt: date.toISOString()}, documents)).rejects.toMatchObject({
    code: 'vmctl::cloudinit::iso_failed',
  })
})

test('the same input gives the same bytes', () => {
  const content = {volumeId: 'cidata', files: seedFiles(documents), date}
  expect(createHash('sha256').update(buildIso(content)).digest()).toEqual(createHash('sha256').update(buildIso(content)).digest())
  expect(Buffer.from(buildIso(content)).equals(buildIso({...content, date: new Date(0)}))).toBe(false)
})

test('files of any content and size come back in both name spaces', () => {
  const names = ['meta-data', 'user-data', 'vendor-data', 'network-config']
  const files = fc.dictionary(
    fc.constantFrom(...names),
    fc.oneof(
      fc.uint8Array({maxLength: 5000}),
      fc.constantFrom(0, 1, 2047, 2048, 2049, 70_000).map((size) => new Uint8Array(size).fill(7)),
    ),
  )
  fc.assert(
    fc.property(files, (content) => {
      const image = Buffer.from(buildIso({volumeId: 'cidata', files: content, date}))
      expect(image.length).toBe(image.readUInt32LE(16 * 2048 + 80) * 2048)
      const joliet = readFiles(image, 17)
      expect([...joliet.keys()].toSorted()).toEqual(Object.keys(content).toSorted())
      for (const [name, bytes] of joliet) expect(bytes.equals(content[name] ?? Buffer.alloc(0))).toBe(true)
      expect([...readFiles(image, 16).values()].map(String).toSorted()).toEqual([...joliet.values()].map(String).toSorted())
    }),
    {numRuns: 200},
  )
})

test('what does not fit is refused', () => {
  const build =
    (files: Record<string, Uint8Array>, volumeId = 'cidata') =>
    () =>
      buildIso({volumeId, files, date})
  expect(build({'../x': new Uint8Array()})).toThrow(RangeError)
  expect(build({'user-data': new Uint8Array(16 * 2 ** 20 + 1)})).toThrow(RangeError)
  expect(build({'user-data': new Uint8Array(), userdata: new Uint8Array()})).toThrow(/short form/)
  expect(build({}, 'a-name-that-is-too-long')).toThrow(RangeError)
  expect(build(Object.fromEntries(Array.from({length: 40}, (_, index) => [`file-${index}`, new Uint8Array()])))).toThrow(/directory sector/)
  // 25 sectors in front, and 150 of padding behind as mkisofs has them.
  expect(build({'user-data': new Uint8Array(16 * 2 ** 20)})().length).toBe(16 * 2 ** 20 + (25 + 150) * 2048)
})

testUnless(noIsoinfo)('isoinfo reads the same files by Rock Ridge, Joliet and plain names', async () => {
  const path = join(directory, 'isoinfo.iso')
  await writeFile(path, buildIso({volumeId: 'cidata', files: seedFiles(documents), date}))
  const isoinfo = (...args: string[]): string => execFileSync('isoinfo', [...args, '-i', path], {encoding: 'latin1'})
  expect(isoinfo('-d')).toMatch(/Volume id: cidata[\s\S]*Joliet with UCS level 3 found[\s\S]*Rock Ridge signatures version 1 found/)
  const paths = [...Object.keys(seedFiles(documents)).map((name) => `/${name}`)].toSorted()
  expect(isoinfo('-R', '-f').trim().split('\n')).toEqual(paths)
  expect(isoinfo('-J', '-f').trim().split('\n')).toEqual(paths)
  expect(isoinfo('-R', '-x', '/user-data')).toBe(documents.userData.toString('latin1'))
  expect(isoinfo('-R', '-l')).toMatch(/-r--------.*5 Jan {1,2}2 2026.*user-data/)
})

testUnless(missingProgram('xorriso'))('xorriso reads the files', async () => {
  const path = join(directory, 'xorriso.iso')
  await writeFile(path, buildIso({volumeId: 'cidata', files: seedFiles(documents), date}))
  const out = join(directory, 'user-data')
  execFileSync('xorriso', ['-osirrox', 'on', '-indev', path, '-extract', '/user-data', out], {stdio: 'ignore'})
  expect(execFileSync('cat', [out])).toEqual(documents.userData)
})

testUnless(missingProgram('/usr/sbin/blkid'))('blkid finds the label by which a guest finds its seed', async () => {
  const path = join(directory, 'blkid.iso')
  await writeFile(path, buildIso({volumeId: 'cidata', files: seedFiles(documents), date}))
  const found = execFileSync('/usr/sbin/blkid', ['-p', '-s', 'LABEL', '-s', 'TYPE', path], {encoding: 'utf8'})
  expect(found).toMatch(/LABEL="cidata".*TYPE="iso9660"/)
})
