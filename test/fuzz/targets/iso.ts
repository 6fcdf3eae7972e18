import {strict as assert} from 'node:assert'
import {execFileSync} from 'node:child_process'
import {writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {buildIso} from '../../../src/host/iso9660.ts'
import type {Target} from '../target.ts'
import {scratchDirectory} from './directory.ts'

const sector = 2048

/** The files of an image by their Rock Ridge names (RRIP 4.1.4), read as ECMA-119 says. */
const readIso = (image: Buffer): Map<string, Buffer> => {
  const files = new Map<string, Buffer>()
  assert.equal(image.toString('latin1', 16 * sector + 1, 16 * sector + 6), 'CD001')
  const root = image.readUInt32LE(16 * sector + 156 + 2) * sector
  for (let at = root; image[at] !== 0; at += image[at] ?? 0) {
    const record = image.subarray(at, at + (image[at] ?? 0))
    const identifierLength = record[32] ?? 0
    if (identifierLength === 1) continue
    let name = ''
    const systemUse = record.subarray(33 + identifierLength + (identifierLength % 2 === 0 ? 1 : 0))
    for (let entry = 0; entry + 4 <= systemUse.length && systemUse[entry + 2] !== 0; entry += systemUse[entry + 2] ?? 0) {
      if (systemUse.toString('latin1', entry, entry + 2) === 'NM')
        name += systemUse.toString('latin1', entry + 5, entry + (systemUse[entry + 2] ?? 0))
    }
    const [start, length] = [record.readUInt32LE(2) * sector, record.readUInt32LE(10)]
    files.set(name, image.subarray(start, start + length))
  }
  return files
}

/** `name`, LF, content, separated by `%%`: what an image is made of and must be read from it again. */
export const iso: Target = {
  about: 'the writer of seed images: what goes in comes out',
  dictionary: [
    '%%',
    'meta-data\n',
    'user-data\n',
    'vendor-data\n',
    '#cloud-config\n',
    '.',
    '..',
    '-',
    'A'.repeat(64),
    '\0',
    'x'.repeat(2048),
  ],
  open() {
    const scratch = scratchDirectory()
    const path = join(scratch.path, 'seed.iso')
    let made = 0
    return {
      try(input) {
        const files: Record<string, Buffer> = {}
        for (const part of input.toString('latin1').split('%%')) {
          const end = part.indexOf('\n')
          files[part.slice(0, Math.max(0, end))] = Buffer.from(part.slice(end + 1), 'latin1')
        }
        let image: Buffer
        try {
          image = Buffer.from(buildIso({volumeId: 'cidata', files, date: new Date(0)}))
        } catch (error) {
          assert.ok(error instanceof RangeError, String(error))
          return
        }
        const found = readIso(image)
        assert.deepEqual([...found.keys()].toSorted(), Object.keys(files).toSorted())
        for (const [name, content] of Object.entries(files)) assert.ok(found.get(name)?.equals(content), `${name} is different`)
        made += 1
        if (made % 200 !== 1) return
        writeFileSync(path, image)
        const listing = execFileSync('isoinfo', ['-R', '-f', '-i', path], {encoding: 'utf8'})
        const names = listing.split('\n').filter((line) => line !== '')
        assert.deepEqual(
          names.toSorted(),
          Object.keys(files)
            .map((name) => `/${name}`)
            .toSorted(),
        )
      },
      [Symbol.asyncDispose]: async () => scratch.remove(),
    }
  },
}
