import {strict as assert} from 'node:assert'
import {lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {Readable} from 'node:stream'

import {extractTar} from '../../../src/provision/tree/extract.ts'
import {resultOrFailure, type Target} from '../target.ts'
import {scratchDirectory} from './directory.ts'

const block = 512

/** The same archive with the check sum of every header put right, so that what else is odd in it is looked at. */
const withChecksums = (archive: Buffer): Buffer => {
  const fixed = Buffer.from(archive)
  for (let at = 0; at + block <= fixed.length;) {
    const header = fixed.subarray(at, at + block)
    if (header[0] === 0) {
      at += block
      continue
    }
    header.fill(' ', 148, 156)
    const sum = header.reduce((total, byte) => total + byte, 0)
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
    const size = Number.parseInt(header.toString('latin1', 124, 136), 8)
    at += block + (Number.isSafeInteger(size) && size > 0 ? Math.ceil(size / block) * block : 0)
  }
  return fixed
}

/** Unlike the recursive readdir of Node, this does not go through symbolic links. */
const namesBelow = (directory: string, below = ''): string[] =>
  readdirSync(join(directory, below), {withFileTypes: true}).flatMap((entry) => {
    const name = join(below, entry.name)
    return entry.isDirectory() ? [name, ...namesBelow(directory, name)] : [name]
  })

export const tar: Target = {
  about: 'a tar archive that a guest sends, unpacked into a directory',
  maxBytes: 32 * 1024,
  dictionary: [
    '../',
    '/',
    './',
    '..',
    '/etc/passwd',
    'ustar\0',
    'ustar  \0',
    '0000644\0',
    '0004755\0',
    'path=../x\n',
    '20 path=../../evil\n',
    'a/b',
    'link',
    'precious',
    '1',
    '2',
    '3',
    '5',
    'x',
    'g',
    'L',
    'K',
  ],
  open() {
    const scratch = scratchDirectory()
    const [into, precious] = [join(scratch.path, 'in'), join(scratch.path, 'precious')]
    writeFileSync(precious, 'precious', {mode: 0o600})
    const attempt = async (archive: Buffer): Promise<void> => {
      rmSync(into, {recursive: true, force: true})
      mkdirSync(into)
      const chunks = Array.from({length: Math.ceil(archive.length / 700)}, (_, index) => archive.subarray(index * 700, (index + 1) * 700))
      const options = {maxEntries: 1000, maxBytes: 2 ** 20}
      await resultOrFailure(['vmctl::guest::archive_refused'], () => extractTar(Readable.from(chunks, {objectMode: false}), into, options))
      assert.deepEqual(readdirSync(scratch.path).toSorted(), ['in', 'precious'])
      assert.equal(readFileSync(precious, 'utf8'), 'precious')
      const {mode, nlink} = lstatSync(precious)
      assert.deepEqual([mode & 0o7777, nlink], [0o600, 1])
      for (const name of namesBelow(into)) {
        const entry = lstatSync(join(into, name))
        assert.ok(entry.isFile() || entry.isDirectory() || entry.isSymbolicLink(), `${name} is something else`)
        assert.equal(entry.mode & 0o7000, 0, `${name} has set-ID or sticky bits`)
        if (entry.isFile()) assert.equal(entry.nlink, 1, `${name} has two names`)
      }
    }
    return {
      async try(input) {
        await attempt(input)
        await attempt(withChecksums(input))
      },
      [Symbol.asyncDispose]: async () => scratch.remove(),
    }
  },
}
