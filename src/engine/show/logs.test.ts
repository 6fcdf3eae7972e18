import {appendFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {expect, test} from 'vitest'

import {temporaryDirectory} from '../../../test/support/builders.ts'
import {readLog} from './logs.ts'

const {signal} = new AbortController()

const all = async (path: string, tail = 0): Promise<string> =>
  Buffer.concat(await Array.fromAsync(readLog(path, {tail, follow: false, signal}))).toString()

test('the last lines, with and without a line feed at the end, over block borders', async () => {
  const path = join(temporaryDirectory(), 'log')
  writeFileSync(path, '1\n2\n3\n')
  expect(await Promise.all([0, 1, 2, 3, 4].map((lines) => all(path, lines)))).toEqual([
    '1\n2\n3\n',
    '3\n',
    '2\n3\n',
    '1\n2\n3\n',
    '1\n2\n3\n',
  ])
  writeFileSync(path, '1\n2\n3')
  expect(await Promise.all([1, 2].map((lines) => all(path, lines)))).toEqual(['3', '2\n3'])
  writeFileSync(path, '')
  expect(await all(path, 1)).toBe('')
  writeFileSync(path, '\n\n\n')
  expect(await all(path, 2)).toBe('\n\n')
  const lines = Array.from({length: 50_000}, (_, index) => `line ${index}\n`)
  writeFileSync(path, lines.join(''))
  for (const count of [1, 5000, 5041, 20_000, 49_999, 50_000])
    expect(await all(path, count), `${count} lines`).toBe(lines.slice(-count).join(''))
})

test('bytes come as they are, and a file that is not there is an error unless it is waited for', async () => {
  const path = join(temporaryDirectory(), 'log')
  await expect(all(path, 1)).rejects.toMatchObject({code: 'vmctl::io'})
  const bytes = Buffer.from([0, 255, 10, 27, 200])
  writeFileSync(path, bytes)
  expect(Buffer.concat(await Array.fromAsync(readLog(path, {tail: 0, follow: false, signal})))).toEqual(bytes)
})

test('following: what was there, what is appended, a file that begins anew, and an end by the signal', async () => {
  const path = join(temporaryDirectory(), 'log')
  const abort = new AbortController()
  let text = ''
  const next = {at: 0}
  const script: readonly [string, () => void][] = [
    ['', () => writeFileSync(path, 'one\n')],
    ['one\n', () => appendFileSync(path, 'two\n')],
    ['one\ntwo\n', () => writeFileSync(path, 'new\n')],
    ['one\ntwo\nnew\n', () => abort.abort()],
  ]
  const advance = (): void => {
    const [expected, act] = script[next.at] ?? []
    if (text !== expected) return
    next.at++
    act?.()
  }
  advance()
  for await (const chunk of readLog(path, {tail: 0, follow: true, signal: abort.signal})) {
    text += chunk.toString()
    advance()
  }
  expect(text).toBe('one\ntwo\nnew\n')
})
