import {strict as assert} from 'node:assert'

import {parseChecksumFile} from '../../../src/image/checksum.ts'
import {pureTrial, resultOrFailure, type Target} from '../target.ts'

const lengths = {sha256: 64, sha512: 128} as const

export const checksums: Target = {
  about: 'a list of checksums from a server',
  dictionary: [
    'disk.qcow2',
    ' *disk.qcow2',
    'SHA256 (disk.qcow2) = ',
    'SHA512 (',
    '\\',
    '\r\n',
    '\n',
    '  ',
    './',
    '../',
    'ab'.repeat(32),
    'cd'.repeat(64),
    '-----BEGIN PGP SIGNED MESSAGE-----\n',
  ],
  open: () =>
    pureTrial(async (input) => {
      const text = input.toString()
      const found = await resultOrFailure(['vmctl::image::checksum_mismatch'], () => parseChecksumFile(text, 'disk.qcow2', 'the list'))
      if (!found) return
      assert.ok(Object.keys(found).length > 0)
      for (const [algorithm, digest] of Object.entries(found)) {
        assert.match(digest, /^[0-9a-f]+$/)
        assert.equal(digest.length, lengths[algorithm as keyof typeof lengths])
        // In a line of its own, or in one that names the file.
        const lines = text.toLowerCase().split(/[\r\n]+/)
        assert.ok(
          lines.some((line) => line.trim() === digest || (line.includes(digest) && line.replaceAll('\\', '').includes('disk.qcow2'))),
        )
      }
    }),
}
