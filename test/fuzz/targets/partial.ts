import {strict as assert} from 'node:assert'
import {readFileSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {createDigester} from '../../../src/image/checksum.ts'
import {loadPartial} from '../../../src/image/partial.ts'
import type {Target} from '../target.ts'
import {scratchDirectory} from './directory.ts'

const content = Buffer.alloc(5000, 'content ')
const {signal} = new AbortController()

export const partial: Target = {
  about: 'what is kept beside a cut download',
  json: true,
  dictionary: ['"totalBytes":5000', '"totalBytes":-1', '"etag":null', '"bootId":', '[]', 'null'],
  open() {
    const scratch = scratchDirectory()
    const path = join(scratch.path, 'file')
    return {
      async try(input) {
        for (const isVerifiable of [true, false]) {
          writeFileSync(path, content)
          writeFileSync(`${path}.json`, input)
          const {offset, digester, validators} = await loadPartial(path, {isVerifiable, signal})
          assert.ok(offset === 0 || offset === content.length, `it goes on at ${offset}`)
          assert.equal(statSync(path).size, offset)
          assert.ok(validators.totalBytes === undefined || validators.totalBytes >= offset)
          const same = createDigester()
          same.update(readFileSync(path))
          assert.deepEqual(digester.finish(), same.finish())
        }
      },
      [Symbol.asyncDispose]: async () => scratch.remove(),
    }
  },
}
