import {expect, test} from 'vitest'

import {openRows, type Rows} from './rows.ts'

const shown = (rows: Rows): string[] =>
  rows
    .all()
    .map(({name, mark, text, detail, elapsedMs}) =>
      [name, mark, text, detail, elapsedMs].filter((part) => part !== '' && part !== undefined).join(' | '),
    )

test('a status ends with what it belongs to, and the one around it is shown again; the time is that of the row', () => {
  let now = 0
  const rows = openRows(() => now)
  rows.set('web', 'action', 'connecting')
  now = 5000
  rows.set('web', 'guest', 'booting')
  rows.detail('web', 'guest', 'Linux version 6.1')
  now = 9000
  expect(shown(rows)).toEqual(['web | working | booting | Linux version 6.1 | 9000'])
  rows.set('web', 'guest', 'logging in')
  rows.end('web', 'guest')
  expect(shown(rows)).toEqual(['web | working | connecting | 9000'])
  rows.set('web', 'step', 'step 1 of 2')
  rows.set('db', 'action', 'creating')
  expect(shown(rows)).toEqual(['web | working | step 1 of 2 | 9000', 'db | working | creating | 0'])
  rows.end('web', 'action')
  rows.end('db')
  expect(shown(rows)).toEqual([])
})

test('a queued VM is there from the start with whom it waits for, and stays with what has become of it', () => {
  let now = 0
  const rows = openRows(() => now)
  rows.queue('db', [])
  rows.queue('web', [
    {vm: 'db', text: 'db to be healthy'},
    {vm: 'cache', text: 'cache'},
  ])
  rows.queue('cache', [])
  expect(shown(rows)).toEqual([
    'db | waiting | waiting for its turn',
    'web | waiting | waiting for db to be healthy, cache',
    'cache | waiting | waiting for its turn',
  ])
  rows.begin('cache')
  now = 1000
  rows.set('cache', 'action', 'starting')
  rows.end('cache', 'action')
  expect(shown(rows)[2]).toBe('cache | working | starting | 1000')
  rows.finish('cache', {mark: 'done', text: 'up'})
  now = 2000
  expect(shown(rows).slice(1)).toEqual(['web | waiting | waiting for db to be healthy', 'cache | done | up | 1000'])
  rows.begin('db')
  rows.finish('db', {mark: 'failed', text: 'failed', detail: 'no room'})
  rows.set('db', 'guest', 'late news')
  rows.finish('db', {mark: 'done', text: 'up'})
  expect(shown(rows)[0]).toBe('db | failed | failed | no room | 0')
})

test('what is not over at the end has come to the same, and what belongs to no queue goes', () => {
  const rows = openRows(() => 0)
  for (const name of ['a', 'b', 'c']) rows.queue(name, [])
  rows.set('other', 'copy', 'copying')
  rows.begin('a')
  rows.begin('b')
  rows.finish('b', {mark: 'done', text: 'up'})
  rows.finishAll('interrupted', 'not begun')
  expect(shown(rows)).toEqual(['a | failed | interrupted | 0', 'b | done | up | 0', 'c | waiting | not begun'])
})

test('the end of what has not begun changes nothing', () => {
  const rows = openRows(() => 0)
  rows.end('web', 'copy')
  rows.set('web', 'copy', 'copying')
  rows.end('web', 'image')
  rows.detail('web', 'guest', 'nobody asked')
  rows.finish('web', {mark: 'done', text: 'up'})
  expect(shown(rows)).toEqual(['web | working | copying | 0'])
})
