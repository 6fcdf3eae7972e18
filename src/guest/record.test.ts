import {readFileSync, rmSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {expect, test} from 'vitest'

import {temporaryDirectory} from '../../test/support/builders.ts'
import {seal} from '../host/sealed.ts'
import {type GuestRecord, newGuest, peekGuest, readGuest, writeGuest} from './record.ts'

const known: GuestRecord = {schema: 1, ready: true, setup: {env: 'a'}}

const damaged = (file: string) => ({code: 'vmctl::vm::record_damaged', help: expect.stringContaining(`rm ${file}`)})

test('the record of a guest comes back as it was written, and is private', async () => {
  const directory = temporaryDirectory()
  expect(await readGuest(directory)).toEqual(newGuest)
  await writeGuest(directory, known)
  expect(await readGuest(directory)).toEqual(known)
  expect(statSync(join(directory, 'guest.json')).mode & 0o777).toBe(0o600)
})

test('one that is cut off, or of which a bit has turned, is damaged', async () => {
  const directory = temporaryDirectory()
  await writeGuest(directory, known)
  const path = join(directory, 'guest.json')
  const whole = readFileSync(path)
  for (let length = 0; length < whole.length - 2; length++) {
    writeFileSync(path, whole.subarray(0, length))
    await expect(readGuest(directory), `${length} bytes`).rejects.toMatchObject(damaged(path))
  }
  writeFileSync(path, whole.toString().replace('"a"', '"c"'))
  await expect(readGuest(directory)).rejects.toMatchObject(damaged(path))
  expect(await peekGuest(directory)).toBeUndefined()
})

test.each([
  '[]',
  'null',
  '{"schema":2,"ready":true}',
  '{"schema":1}',
  '{"schema":1,"ready":"yes"}',
  '{"schema":1,"ready":true,"setup":{"a":1}}',
])('what is no record of a guest is damaged: %s', async (text) => {
  const directory = temporaryDirectory()
  writeFileSync(join(directory, 'guest.json'), text)
  await expect(readGuest(directory)).rejects.toMatchObject(damaged(join(directory, 'guest.json')))
})

test('a journal of version 0.1 says it, until there is a record of its own', async () => {
  const directory = temporaryDirectory()
  const journal = join(directory, 'journal.json')
  writeFileSync(journal, seal({schema: 1, ready: true, setup: {env: 'a'}, steps: []}))
  expect(await readGuest(directory)).toEqual(known)
  await writeGuest(directory, {...known, setup: {env: 'b'}})
  expect(await readGuest(directory)).toEqual({...known, setup: {env: 'b'}})
  rmSync(join(directory, 'guest.json'))
  writeFileSync(journal, seal({schema: 1, ready: false, steps: []}))
  expect(await readGuest(directory)).toEqual(newGuest)
  // A later journal says nothing of the guest, whatever is written in it.
  writeFileSync(journal, seal({schema: 2, ready: true, steps: []}))
  expect(await readGuest(directory)).toEqual(newGuest)
})

test('when that journal is damaged nobody knows', async () => {
  const directory = temporaryDirectory()
  const journal = join(directory, 'journal.json')
  writeFileSync(journal, seal({schema: 1, ready: true, steps: []}).replace('true', 'false'))
  await expect(readGuest(directory)).rejects.toMatchObject(damaged(journal))
  expect(await peekGuest(directory)).toBeUndefined()
})
