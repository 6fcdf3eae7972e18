import {strict as assert} from 'node:assert'
import {statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {openLogIndex} from '../../../src/provision/log/log-index.ts'
import type {Target} from '../target.ts'
import {scratchDirectory} from './directory.ts'

const logBytes = 1000

export const logIndex: Target = {
  about: 'provision.index, which says what of provision.log is whose',
  dictionary: ['o 10\n', 'e 999999999999999\n', 'n 0\n', '\n', '"token":"run"', '"base":1000', '"stdout":', '{', '}'],
  open() {
    const scratch = scratchDirectory()
    const paths = {log: join(scratch.path, 'log'), index: join(scratch.path, 'index')}
    return {
      async try(input) {
        writeFileSync(paths.log, Buffer.alloc(logBytes, 'x'))
        writeFileSync(paths.index, input)
        const first = await openLogIndex(paths, 'run')
        await first.index[Symbol.asyncDispose]()
        const {size} = statSync(paths.log)
        assert.ok(size <= logBytes, 'the log has grown')
        const {stdout, stderr} = first.delivered
        assert.ok(stdout + stderr <= size, `${stdout + stderr} bytes of a log of ${size} are delivered`)
        for (const count of [stdout, stderr])
          assert.ok(Number.isSafeInteger(count) && count >= 0 && !Object.is(count, -0), `delivered ${count}`)
        const again = await openLogIndex(paths, 'run')
        await again.index[Symbol.asyncDispose]()
        assert.deepEqual(again.delivered, first.delivered)
        assert.equal(statSync(paths.log).size, size)
        const other = await openLogIndex(paths, 'another run')
        await other.index[Symbol.asyncDispose]()
        assert.deepEqual(other.delivered, {stdout: 0, stderr: 0})
        assert.equal(statSync(paths.log).size, size, 'another run costs the log something')
      },
      [Symbol.asyncDispose]: async () => scratch.remove(),
    }
  },
}
