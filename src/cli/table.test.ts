import {expect, test} from 'vitest'

import {stripControls} from '../model/strip.ts'
import {displayWidth} from '../model/display-width.ts'
import {cut} from './width.ts'
import {wrapCell} from './wrap.ts'
import {listColumns, listRow} from './list-table.ts'
import {describeRows, psColumns} from './ps-table.ts'
import {screenOf} from './screen.ts'
import {table} from './table.ts'

const plain = (width?: number) => ({colour: false, ...(width !== undefined && {width})})

test('columns are as wide as their widest cell, without blanks at the end', () => {
  expect(table(['A', 'LONG'], [['value', 'x'], ['', 'yy'], ['z']])).toBe('A      LONG\nvalue  x\n       yy\nz')
  expect(table(['A'], [])).toBe('A')
})

test('what a character takes on the terminal counts, not how many code units it has', () => {
  expect(['db', '数据库', 'é', '👩‍👩‍👧', '⚠️', 'ｗ'].map(displayWidth)).toEqual([2, 6, 1, 2, 2, 2])
  expect(
    table(
      ['A', 'B'],
      [
        ['数据', 'x'],
        ['ab', 'y'],
      ],
    ),
  ).toBe('A     B\n数据  x\nab    y')
  expect(cut('数据库', 5)).toBe('数据…')
  expect(cut('数据库', 4)).toBe('数…')
  expect(cut('/long/path/file', 8, 'end')).toBe('…th/file')
  expect(cut('short', 5)).toBe('short')
})

test('text is wrapped at blanks, and inside of a word that is longer than a line', () => {
  expect(wrapCell('one two three', 7)).toEqual(['one two', 'three'])
  expect(wrapCell('x abcdefghij y', 4)).toEqual(['x', 'abcd', 'efgh', 'ij', 'y'])
  expect(wrapCell('', 4)).toEqual([''])
})

const vms = [
  {name: 'shop.web-1', state: 'running', backend: 'qemu', vcpus: 16, memoryMiB: 256, network: 'user', pid: 1_234_567, sshPort: 45_678},
  {name: 'db', state: 'failed', backend: 'qemu', vcpus: 2, memoryMiB: 4096, network: 'none'},
  {name: 'old', state: 'stopped', backend: 'noop', vcpus: 1, memoryMiB: 512, network: 'user'},
  {name: 'full', state: 'suspended', pause: 'there is no room left', backend: 'qemu', vcpus: 1, memoryMiB: 512, network: 'user'},
] as const

test('a list says how each VM is, with sizes as `ps` shows them', () => {
  expect(table(listColumns, vms.map(listRow), plain())).toBe(
    [
      'NAME        STATE    BACKEND  VCPUS    MEMORY  NETWORK      PID    SSH',
      'shop.web-1  running  qemu        16  256.0 MB  user     1234567  45678',
      'db          failed   qemu         2   4.00 GB  none           -      -',
      'old         stopped  noop         1  512.0 MB  user           -      -',
      'full        paused   qemu         1  512.0 MB  user           -      -',
    ].join('\n'),
  )
})

const psRows = describeRows([
  {
    name: 'shop.web-1',
    state: 'running',
    readiness: 'ready',
    health: 'healthy',
    failures: 2,
    retries: 3,
    isOrphan: true,
    ips: ['10.10.0.2', '192.0.2.17'],
    vcpus: 2,
    memoryMiB: 2048,
    diskBytes: 2 ** 34,
    ports: [
      {protocol: 'tcp', bind: '127.0.0.1', host: 8080, guest: 80},
      {protocol: 'udp', bind: '::1', host: 5353, guest: 53},
    ],
  },
  {name: 'shop.db', state: 'destroyed', ips: [], ports: []},
])

test.each([20, 40, 60, 80, 100, 200])('no line of a table is longer than a terminal of %i columns, coloured or not', (width) => {
  for (const text of [
    table(listColumns, vms.map(listRow), plain(width)),
    table(psColumns, psRows, plain(width)),
    table(['VM', 'ACTION', 'CAUSE'], [['web', 'provision', `motd changed ${'and something else '.repeat(20)}`]], plain(width)),
  ])
    expect(Math.max(...text.split('\n').map(displayWidth))).toBeLessThanOrEqual(width)
  expect(stripControls(table(psColumns, psRows, {width, colour: true}))).toBe(table(psColumns, psRows, plain(width)))
})

test('what matters least is left out first, and nothing of a text that wraps is lost', () => {
  expect(table(listColumns, vms.map(listRow), plain(40))).toBe(
    [
      'NAME        STATE    BACKEND    SSH',
      'shop.web-1  running  qemu     45678',
      'db          failed   qemu         -',
      'old         stopped  noop         -',
      'full        paused   qemu         -',
    ].join('\n'),
  )
  const cause = 'step 1 was never run, and a step before it changed'
  const lines = table(['VM', 'ACTION', 'CAUSE'], [['web', 'provision', cause]], plain(40)).split('\n')
  expect(lines.slice(1)).toEqual([
    'web  provision  step 1 was never run,',
    '                and a step before it',
    '                changed',
  ])
})

test('states have colours, where there are any', () => {
  const coloured = table(listColumns, vms.map(listRow), {colour: true})
  expect(coloured).toContain('\u001B[32mrunning\u001B[39m')
  expect(coloured).toContain('\u001B[31mfailed\u001B[39m')
  expect(coloured).toContain('\u001B[33mpaused\u001B[39m')
  expect(coloured).toContain('\u001B[2mstopped\u001B[22m')
})

test('a terminal has a width and colours, unless NO_COLOR is set; a file and a pipe have none', () => {
  const terminal = {isTTY: true, columns: 80, hasColors: () => true}
  expect(screenOf(terminal, {})).toEqual({width: 80, colour: true})
  expect(screenOf(terminal, {NO_COLOR: '1'})).toEqual({width: 80, colour: false})
  expect(screenOf({...terminal, columns: 0}, {})).toEqual({colour: true})
  expect(screenOf({columns: 80, hasColors: () => true}, {})).toEqual({colour: false})
})
