import {expect, test} from 'vitest'

import {openLiveText} from './live-text.ts'

const header = ['NAME', 'STATUS']

const terminal = (rows: number, columns = 80) => {
  const writes: string[] = []
  return {writes, stream: {isTTY: true, rows, columns, write: (text: string) => writes.push(text) > 0}}
}

test('on a terminal it is written over in place, each time in one go', () => {
  const {writes, stream} = terminal(24)
  {
    using live = openLiveText(stream)
    live.show(header, [
      ['web', 'running'],
      ['db', 'stopped'],
    ])
    live.show(header, [['web', 'stopped']])
  }
  expect(writes).toEqual([
    '\x1b[?25l\r\x1b[?7lNAME  STATUS\x1b[K\nweb   running\x1b[K\ndb    stopped\x1b[K\x1b[J\x1b[2A\r\x1b[?7h',
    '\r\x1b[?7lNAME  STATUS\x1b[K\nweb   stopped\x1b[K\x1b[J\x1b[1A\r\x1b[?7h',
    '\rNAME  STATUS\x1b[K\nweb   stopped\x1b[K\n\x1b[J\x1b[?25h',
  ])
})

test('what does not fit is cut, since a line that wraps or scrolls could not be written over', () => {
  const {writes, stream} = terminal(3, 8)
  using live = openLiveText(stream)
  live.show(header, [
    ['web', 'running'],
    ['db', 'stopped'],
    ['c', 'running'],
  ])
  expect(writes).toEqual(['\x1b[?25l\r\x1b[?7lNA…  ST…\x1b[K\nweb  run\x1b[K\x1b[J\x1b[1A\r\x1b[?7h'])
})

test('elsewhere only what has changed is a line', () => {
  let text = ''
  using live = openLiveText({write: (chunk: string) => ((text += chunk), true)})
  live.show(header, [
    ['web', 'running'],
    ['db', 'running'],
  ])
  live.show(header, [
    ['web', 'running'],
    ['db', 'stopped'],
  ])
  expect(text).toBe('NAME  STATUS\nweb  running\ndb  running\ndb  stopped\n')
})
