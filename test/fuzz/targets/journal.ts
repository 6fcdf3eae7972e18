import {strict as assert} from 'node:assert'
import {writeFileSync} from 'node:fs'

import {readGuest} from '../../../src/guest/record.ts'
import {vmFiles} from '../../../src/model/layout.ts'
import {decideSteps, matchEntries, openSteps} from '../../../src/provision/run/decide.ts'
import type {DeclaredStep} from '../../../src/provision/run/declare.ts'
import {readJournal} from '../../../src/provision/run/journal.ts'
import {resultOrFailure, type Target} from '../target.ts'
import {scratchDirectory} from './directory.ts'

const step = (number: number, change: Partial<DeclaredStep> = {}): DeclaredStep => ({
  type: 'shell',
  title: `inline ${number}`,
  run: 'always',
  follows: false,
  isChecked: false,
  facts: {script: `fact ${number}`},
  hash: `hash ${number}`,
  ...change,
})

const steps = [step(1), step(2, {type: 'file', isChecked: true}), step(3, {run: 'once'}), step(4, {type: 'reboot', follows: true})]

export const journal: Target = {
  about: 'journal.json, and what is decided about the steps from it',
  json: true,
  dictionary: [
    '"schema":1',
    '"schema":2',
    '"state":"done"',
    '"state":"running"',
    '"state":"unknown"',
    '"memory":{}',
    '"hash 1"',
    '"facts":{}',
    '"ready":true',
  ],
  open() {
    const scratch = scratchDirectory()
    const files = vmFiles(scratch.path)
    return {
      async try(input) {
        writeFileSync(files.journal, input)
        // A journal of version 0.1 says this too.
        await resultOrFailure(['vmctl::vm::record_damaged'], () => readGuest(scratch.path))
        const known = await resultOrFailure(['vmctl::vm::record_damaged'], () => readJournal(scratch.path))
        if (!known) return
        for (const restarted of [false, true]) {
          const verdicts = decideSteps(known, steps, {restarted})
          assert.equal(verdicts.length, steps.length)
          const entries = matchEntries(known, steps)
          for (const [index, {verdict, cause}] of verdicts.entries()) {
            assert.equal(typeof cause, 'string')
            const isLeftAlone = verdict === 'skip' && !steps[index]?.follows
            if (isLeftAlone) assert.equal(entries[index]?.state, 'done', 'a step is skipped that is not on record as done')
            if (verdict === 'continue') assert.equal(entries[index]?.state, 'running')
          }
          const opened = openSteps(known, steps, verdicts)
          assert.equal(opened.steps.length, steps.length)
          for (const [index, {verdict}] of verdicts.entries()) {
            if (verdict === 'run') assert.equal(opened.steps[index]?.state, 'pending')
          }
        }
      },
      [Symbol.asyncDispose]: async () => scratch.remove(),
    }
  },
}
