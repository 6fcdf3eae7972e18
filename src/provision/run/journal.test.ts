import {readFileSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {expect, test} from 'vitest'

import {temporaryDirectory} from '../../../test/support/builders.ts'
import {emptyJournal, type Journal, type JournalEntry, peekJournal, readJournal, writeJournal} from './journal.ts'

const entry = (hash: string, state: JournalEntry['state'] = 'done'): JournalEntry => ({hash, state, title: 't', startedAt: ''})
const journal = (...steps: readonly JournalEntry[]): Journal => ({schema: 2, steps})

test('a journal comes back as it was written, and is private', async () => {
  const directory = temporaryDirectory()
  const written = journal({...entry('a', 'failed'), exitCode: 3, message: 'ä\n', memory: {root: '/x', stdout: 7}})
  await writeJournal(directory, written)
  expect(await readJournal(directory)).toEqual(written)
  expect(statSync(join(directory, 'journal.json')).mode & 0o777).toBe(0o600)
})

const damaged = {code: 'vmctl::vm::record_damaged', help: expect.stringContaining('journal.json')}

test('nothing was run when there is no journal; one that is cut off is damaged', async () => {
  const directory = temporaryDirectory()
  expect(await readJournal(directory)).toBe(emptyJournal)
  await writeJournal(directory, journal(entry('a'), entry('b', 'running')))
  const path = join(directory, 'journal.json')
  const whole = readFileSync(path)
  for (let length = 0; length < whole.length - 2; length++) {
    writeFileSync(path, whole.subarray(0, length))
    await expect(readJournal(directory), `${length} bytes`).rejects.toMatchObject(damaged)
  }
})

test.each([
  '[]',
  'null',
  '{"schema":3,"steps":[]}',
  '{"schema":1,"steps":[]}',
  '{"schema":1,"ready":"yes","steps":[]}',
  '{"schema":2,"steps":{}}',
  '{"schema":2,"steps":[null]}',
  '{"schema":2,"steps":[{"hash":"a","state":"finished"}]}',
  '{"schema":2,"steps":[{"hash":1,"state":"done"}]}',
  '{"schema":2,"steps":[{"state":"done"}]}',
  '{"schema":2,"steps":[{"hash":"a","state":"done"}]}',
  '{"schema":2,"steps":[{"hash":"a","title":"t","state":"done","facts":{"a":1}}]}',
  '{"schema":2,"steps":[{"hash":"a","title":"t","state":"done","startedAt":7}]}',
])('a damaged journal is refused, and shows nothing: %s', async (text) => {
  const directory = temporaryDirectory()
  writeFileSync(join(directory, 'journal.json'), text)
  await expect(readJournal(directory)).rejects.toMatchObject(damaged)
  expect(await peekJournal(directory)).toBe(emptyJournal)
})
