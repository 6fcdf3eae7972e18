import {readFileSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {expect, test} from 'vitest'

import {temporaryDirectory} from '../../test/support/builders.ts'
import {chainHashes, emptyJournal, type Journal, type JournalEntry, readJournal, remainingSteps, writeJournal} from './journal.ts'

const entry = (hash: string, state: JournalEntry['state'] = 'done'): JournalEntry => ({hash, state, title: 't', startedAt: ''})
const journal = (...steps: readonly JournalEntry[]): Journal => ({schema: 1, ready: true, steps})

test.each([
  ['nothing declared', journal(), [], undefined],
  ['nothing done', journal(), ['a', 'b'], {from: 0, cause: 'never run'}],
  ['all done', journal(entry('a'), entry('b')), ['a', 'b'], undefined],
  ['a new step at the end', journal(entry('a')), ['a', 'b'], {from: 1, cause: 'never run'}],
  ['a changed step', journal(entry('a'), entry('b')), ['a', 'x'], {from: 1, cause: 'changed'}],
  ['a failed step', journal(entry('a'), entry('b', 'failed')), ['a', 'b'], {from: 1, cause: 'failed'}],
  ['a step that was cut off', journal(entry('a', 'running')), ['a', 'b'], {from: 0, cause: 'never finished'}],
  ['a failed step that was changed', journal(entry('a', 'failed')), ['x'], {from: 0, cause: 'changed'}],
  ['a step that is no longer declared', journal(entry('a'), entry('b', 'failed')), ['a'], undefined],
])('what remains: %s', (_, known, hashes, expected) => {
  expect(remainingSteps(known, hashes)).toEqual(expected)
})

test('a step is the same only on top of the same steps', () => {
  const [a, b, c] = chainHashes(['1', '2', '3'])
  expect(chainHashes(['1', '2', '3', '4']).slice(0, 3)).toEqual([a, b, c])
  const changed = chainHashes(['1', 'x', '3'])
  expect([changed[0] === a, changed[1] === b, changed[2] === c]).toEqual([true, false, false])
  expect(chainHashes(['2'])[0]).not.toBe(b)
  expect(chainHashes(['1', '1'])[0]).not.toBe(chainHashes(['1', '1'])[1])
  expect(chainHashes([])).toEqual([])
})

test('a journal comes back as it was written, and is private', async () => {
  const directory = temporaryDirectory()
  const written = journal({...entry('a', 'failed'), exitCode: 3, message: 'ä\n', memory: {root: '/x', stdout: 7}})
  await writeJournal(directory, written)
  expect(await readJournal(directory)).toEqual(written)
  expect(statSync(join(directory, 'journal.json')).mode & 0o777).toBe(0o600)
})

test('nothing is known from a journal that is missing or cut off', async () => {
  const directory = temporaryDirectory()
  expect(await readJournal(directory)).toBe(emptyJournal)
  await writeJournal(directory, journal(entry('a'), entry('b', 'running')))
  const path = join(directory, 'journal.json')
  const whole = readFileSync(path)
  for (let length = 0; length < whole.length - 2; length++) {
    writeFileSync(path, whole.subarray(0, length))
    expect(await readJournal(directory), `${length} bytes`).toBe(emptyJournal)
  }
})

test.each([
  '[]',
  'null',
  '{"schema":2,"ready":true,"steps":[]}',
  '{"schema":1,"steps":[]}',
  '{"schema":1,"ready":"yes","steps":[]}',
  '{"schema":1,"ready":true,"steps":{}}',
  '{"schema":1,"ready":true,"steps":[null]}',
  '{"schema":1,"ready":true,"steps":[{"hash":"a","state":"finished"}]}',
  '{"schema":1,"ready":true,"steps":[{"hash":1,"state":"done"}]}',
  '{"schema":1,"ready":true,"steps":[{"state":"done"}]}',
])('nothing is known from %s', async (text) => {
  const directory = temporaryDirectory()
  writeFileSync(join(directory, 'journal.json'), text)
  expect(await readJournal(directory)).toBe(emptyJournal)
})
