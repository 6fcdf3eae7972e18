import fc from 'fast-check'
import stringWidth from 'string-width'
import {expect, test} from 'vitest'

import {type Canvas, drawRows} from './draw-rows.ts'
import type {Row} from './rows.ts'

const canvas: Canvas = {columns: 80, height: 23, frame: 0, colour: false, isUnicode: true}

const row = (name: string, change: Partial<Row> = {}): Row => ({
  name,
  mark: 'working',
  text: 'booting',
  detail: '',
  awaited: 0,
  elapsedMs: 12_400,
  ...change,
})

const rows: readonly Row[] = [
  row('db', {mark: 'done', text: 'up, healthy', detail: 'booted in 11 s, steps took 9.3 s', elapsedMs: 21_300}),
  row('cache', {text: 'starting services (cloud-init)', detail: '[   12.345] cloud-init[412]: Setting up nginx (1.22.1)'}),
  {name: 'web', mark: 'waiting', text: 'waiting for db to be healthy, cache', detail: '', awaited: 2},
  row('mail', {mark: 'failed', text: 'failed', detail: 'The guest did not become ready.', elapsedMs: 72_000}),
]

test('a row for each VM: mark, name, what happens, and its time at the right', () => {
  expect(drawRows(rows, canvas)).toEqual([
    '✔ db     up, healthy  booted in 11 s, steps took 9.3 s                     21 s',
    '⠋ cache  starting services (cloud-init)  [ 12.345] cloud-init[412]: Sett…  12 s',
    '· web    waiting for db to be healthy, cache',
    '✘ mail   failed  The guest did not become ready.                     1 min 12 s',
  ])
})

test('where there is little room the guest is silent first, then the text is cut; the time stays', () => {
  expect(drawRows(rows, {...canvas, columns: 41})).toEqual([
    '✔ db     up, healthy  booted in 1…  21 s',
    '⠋ cache  starting services (cloud…  12 s',
    '· web    waiting for db to be healthy, …',
    '✘ mail   failed               1 min 12 s',
  ])
})

test('on a wide terminal the time does not go far away', () => {
  expect(drawRows(rows, {...canvas, columns: 300}).map((line) => line.length)).toEqual([120, 120, 44, 120])
})

test('a terminal that has letters only', () => {
  expect(drawRows(rows, {...canvas, isUnicode: false}).map(([mark]) => mark)).toEqual(['+', '-', '.', 'x'])
})

test('colours are as few as can be, and not yellow or white', () => {
  const text = drawRows(rows, {...canvas, colour: true}).join('\n')
  const codes = new Set([...text.matchAll(/\u001b\[(\d+)m/g)].map(([, code]) => code))
  expect(codes).toEqual(new Set(['2', '22', '31', '32', '39']))
})

test('more VMs than lines: those first that are worked on or have failed, and the sum of the others', () => {
  const many = Array.from({length: 30}, (_, index) =>
    row(`vm${index}`, {
      ...(index < 8 && {text: 'up, healthy'}),
      mark: index < 8 ? 'done' : index < 9 ? 'failed' : index < 12 ? 'working' : 'waiting',
    }),
  )
  const lines = drawRows(many, {...canvas, height: 6})
  expect(lines.map((line) => line.slice(0, 7).trim())).toEqual(['✘ vm8', '⠋ vm9', '⠋ vm10', '⠋ vm11', '· vm12', '… 17 wa'])
  expect(lines.at(-1)).toBe('… 17 waiting, 8 up')
  expect(drawRows(many, {...canvas, height: Number.POSITIVE_INFINITY})).toHaveLength(30)
})

test('work that belongs to no VM has no name', () => {
  expect(drawRows([row('', {text: 'image: 45 %'})], {...canvas, columns: 31})).toEqual(['⠋ image: 45 %             12 s'])
})

test('whatever is said, no line is wider than the terminal, no control gets through, and the time is whole where it fits', () => {
  const text = fc.oneof(
    fc.string({unit: 'grapheme', maxLength: 60}),
    fc.constantFrom('日本語のサービスを始める', '👨‍👩‍👧👨‍👩‍👧👨‍👩‍👧 family', '\u001b[31mred\u001b[0m', 'a\tb\r\nc', '🇩🇪🇩🇪🇩🇪', 'e\u0301'.repeat(30)),
  )
  const anyRow = fc.record({
    name: fc.oneof(fc.constant(''), fc.stringMatching(/^[a-z][a-z0-9.-]{0,62}$/), fc.constant('日本')),
    mark: fc.constantFrom('waiting' as const, 'working' as const, 'done' as const, 'failed' as const),
    text,
    detail: text,
    awaited: fc.constant(0),
    elapsedMs: fc.integer({min: 0, max: 10_000_000}),
  })
  const anyCanvas = fc.record({
    columns: fc.integer({min: 1, max: 220}),
    height: fc.integer({min: 1, max: 40}),
    frame: fc.nat(),
    colour: fc.boolean(),
    isUnicode: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(anyRow, {maxLength: 45}), anyCanvas, (some, on) => {
      const lines = drawRows(some, on)
      expect(lines.length).toBeLessThanOrEqual(Math.max(1, on.height))
      for (const line of lines) {
        expect(stringWidth(line)).toBeLessThan(on.columns)
        expect(line.replaceAll(/\u001b\[\d+m/g, '')).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/)
      }
      if (on.columns >= 16) for (const line of lines.slice(0, -1)) expect(line).toMatch(/\d (?:s|min \d+ s)(?:\u001b\[22m)?$/)
    }),
  )
})
