import {expect, test} from 'vitest'

import {stripControls} from '../model/strip.ts'
import {displayWidth} from './display-width.ts'
import {drawTimings} from './timings-chart.ts'

const times = (...spans: readonly (readonly [string, number, string?])[]) => {
  let startMs = 0
  return spans.map(([what, durationMs, title]) => {
    const timing = {what, startMs, durationMs, ...(title !== undefined && {title})}
    startMs += durationMs
    return timing
  })
}

const dev = {
  name: 'dev',
  timings: times(
    ['create', 200],
    ['start', 400],
    ['process', 0],
    ['tcp', 30],
    ['banner', 21_970],
    ['host-key', 800],
    ['authentication', 400],
    ['boot-id', 300],
    ['cloud-init', 20],
    ['ready', 0],
    ['step 1', 5800, 'setup.sh'],
    ['step 2', 4600, 'inline: echo hello > /etc/motd; cat /etc/motd'],
  ),
}

test('says in plain words where the time went, on a line of time with marks', () => {
  expect(drawTimings([dev])).toBe(
    [
      'dev                                                                         35 s',
      '  creating                      ▎                                          0.2 s',
      '  starting                      ▌                                          0.4 s',
      '  booting                       █████████████████████████▌                  22 s',
      '  logging in                                              █▊               1.5 s',
      '  starting services                                        ▏              <0.1 s',
      '  step 1: setup.sh                                         ██████▊         5.8 s',
      '  step 2: inline: echo hello…                                     █████▍   4.6 s',
      '                                └──────────┴───────────┴──────────┴─────',
      '                                0 s        10 s        20 s       30 s',
    ].join('\n'),
  )
})

test.each([40, 60, 80, 100, 200])('fits a terminal of %i columns, coloured or not', (width) => {
  const vms = [dev, {name: 'a-vm-of-a-very-long-name-that-nobody-would-type', timings: times(['step 10', 3_700_000, 'x'.repeat(300)])}]
  const lines = drawTimings(vms, {width, colour: false}).split('\n')
  expect(Math.max(...lines.map(displayWidth))).toBeLessThanOrEqual(width)
  expect(stripControls(drawTimings(vms, {width, colour: true}))).toBe(lines.join('\n'))
  // All figures end in one column.
  expect(new Set(lines.filter((line) => / (s|min)$/.test(line) && !/^ +0 s/.test(line)).map(displayWidth))).toEqual(new Set([width]))
})

test('what was short is seen, and what took no time at all is not', () => {
  const [, short, none] = drawTimings([{name: 'a', timings: times(['create', 1], ['start', 0], ['banner', 60_000])}]).split('\n')
  expect(short).toMatch(/creating +▏ +<0\.1 s$/)
  expect(none).toMatch(/starting +0\.0 s$/)
})

test('several VMs share one scale, and have a total; one with nothing to do says so', () => {
  const lines = drawTimings([dev, {name: 'idle', timings: []}], {width: 100, colour: false}).split('\n')
  expect(lines).toContainEqual('idle  nothing to do')
  expect(lines.at(-1)).toMatch(/^total +35 s$/)
  expect(drawTimings([{name: 'idle', timings: []}])).toBe('idle  nothing to do')
})
