import {spawnSync} from 'node:child_process'
import {copyFileSync, existsSync, readFileSync} from 'node:fs'
import {join, resolve} from 'node:path'

import {expect, test} from 'vitest'

import {temporaryDirectory} from '../../../test/support/builders.ts'
import {peekGuest} from '../../guest/record.ts'
import {readJournal} from '../../provision/run/journal.ts'
import {runSteps} from '../../provision/run/run.ts'
import {holdRecords, peekRecords, readRecords} from './records.ts'

const here = (path: string): string => resolve(import.meta.dirname, '../../..', path)

const of01 = (): string => {
  const directory = temporaryDirectory()
  copyFileSync(here('fixtures/state-0.1/vms/db/journal.json'), join(directory, 'journal.json'))
  return directory
}

const rawJournal = (directory: string): Record<string, unknown> => JSON.parse(readFileSync(join(directory, 'journal.json'), 'utf8'))

test('the first write to a journal of version 0.1 carries over what it says of the guest, and a kill at any point loses nothing', async () => {
  const before = await readRecords(of01())
  expect(before.guest).toMatchObject({ready: true, setup: {env: expect.any(String)}})
  const program = here('test/support/note-start.ts')
  const states = new Set<string>()
  for (let point = 1; ; point++) {
    const directory = of01()
    const {signal, status, stderr} = spawnSync(process.execPath, [program, directory], {
      env: {...process.env, VMCTL_KILL_AT: String(point)},
      encoding: 'utf8',
    })
    const after = await readRecords(directory)
    expect(after.guest, `killed at point ${point}`).toEqual(before.guest)
    expect(after.journal.steps, `killed at point ${point}`).toEqual(before.journal.steps)
    const {schema, ready} = rawJournal(directory)
    states.add(`${existsSync(join(directory, 'guest.json')) ? 'guest.json' : 'no guest.json'}, journal ${String(schema)} ${String(ready)}`)
    // Whoever comes next has no trace of it.
    await holdRecords(directory, after).writeJournal({...after.journal, restarted: true})
    expect(await readRecords(directory)).toEqual({guest: before.guest, journal: {schema: 2, steps: before.journal.steps, restarted: true}})
    if (signal === null) {
      expect({status, stderr}).toEqual({status: 0, stderr: ''})
      break
    }
  }
  expect([...states]).toEqual(['no guest.json, journal 1 true', 'guest.json, journal 1 true', 'guest.json, journal 2 undefined'])
})

test('who runs steps without these records leaves in the journal what it says of the guest', async () => {
  const directory = of01()
  const {guest} = await readRecords(directory)
  await runSteps({name: 'db', directory} as never, [], {
    provisioners: new Map(),
    guest: () => Promise.reject(new Error('not asked')),
    onEvent: () => undefined,
    signal: new AbortController().signal,
  })
  expect((await readJournal(directory)).steps).toEqual([])
  expect(await readRecords(directory)).toMatchObject({guest})
})

test('a damaged record of the guest is left to who asks for it, and nothing is carried over it', async () => {
  const directory = of01()
  const records = holdRecords(directory, {...(await peekRecords(directory)), guest: undefined})
  await records.writeJournal({...records.journal, restarted: true})
  expect(rawJournal(directory)).toMatchObject({schema: 1, ready: true, restarted: true})
  expect(await peekGuest(directory)).toMatchObject({ready: true})
  expect(() => records.guest).toThrow(/What is known of the guest cannot be read/)
})
