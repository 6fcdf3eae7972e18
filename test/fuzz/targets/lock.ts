import {strict as assert} from 'node:assert'
import {writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {acquireLock} from '../../../src/host/lock.ts'
import {isFailure} from '../../../src/model/errors.ts'
import {resultOrFailure, type Target} from '../target.ts'
import {scratchDirectory} from './directory.ts'

/** The first byte tells whether the rest is in the lock itself or beside it, as the name of a holder. */
export const lock: Target = {
  about: 'a lock file and the name of its holder',
  dictionary: ['SQLite format 3\0', '\u001B]0;x\u0007', '\n', 'vmctl up web (process 1)'],
  open() {
    const scratch = scratchDirectory()
    let tries = 0
    return {
      async try(input) {
        tries += 1
        const path = join(scratch.path, `lock-${tries % 100}`)
        const isHolder = ((input[0] ?? 0) & 1) === 1
        if (!isHolder) {
          writeFileSync(path, input.subarray(1))
          // A lock that somebody has written to is refused, with the advice to remove it.
          const held = await resultOrFailure(['vmctl::io'], () => acquireLock(path, {purpose: 'one', timeoutMs: 0}))
          await held?.[Symbol.asyncDispose]()
          return
        }
        writeFileSync(path, '')
        await using _held = await acquireLock(path, {purpose: 'one', timeoutMs: 0})
        writeFileSync(`${path}.holder`, input.subarray(1))
        await assert.rejects(acquireLock(path, {purpose: 'two', timeoutMs: 0}), (error) => {
          assert.ok(isFailure(error, 'vmctl::vm::locked'))
          assert.match(error.message, /^\P{Control}*$/u)
          assert.ok(error.message.length < 1000)
          return true
        })
      },
      [Symbol.asyncDispose]: async () => scratch.remove(),
    }
  },
}
