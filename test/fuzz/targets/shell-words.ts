import {strict as assert} from 'node:assert'
import {execFileSync} from 'node:child_process'

import {quote, quoteAll} from '../../../src/model/quote.ts'
import {pureTrial, type Target} from '../target.ts'

/** A program is started for so many inputs at once. */
const together = 64

/** Words, separated by NUL: a real shell must hand on each of them as it is. */
export const shellWords: Target = {
  about: 'quoted words, through a real sh',
  dictionary: ["'", "'\\''", '"', '$(id)', '`id`', '\\', '\n', '*', '~', '-n', '--', ';', '&', '|', '#', '!', '${IFS}', '\r', '\u00E9'],
  open() {
    let waiting: string[] = []
    return pureTrial((input) => {
      const words = input.toString('utf8').split('\0')
      assert.throws(() => quote(`${words[0]}\0`), RangeError)
      waiting.push(...words)
      if (waiting.length < together) return
      const asked = waiting
      waiting = []
      const script = `printf '%s\\0' ${quoteAll(asked)}`
      const answer = execFileSync('sh', {input: script, encoding: 'utf8', maxBuffer: 2 ** 26})
      assert.deepEqual(answer.split('\0').slice(0, -1), asked)
    })
  },
}
