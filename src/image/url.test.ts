import {expect, test} from 'vitest'

import {createRandom, hostileText} from '../../test/fuzz/random.ts'
import {isFailure} from '../model/errors.ts'
import {displayUrl, fileNameOf, parseImageUrl, urlKey} from './url.ts'

const tryToParse = (text: string): URL | undefined => {
  try {
    return parseImageUrl(text)
  } catch (error) {
    if (!isFailure(error, 'vmctl::usage::invalid')) throw error
    expect(error.message).not.toContain('secret')
    return undefined
  }
}

test.each([
  ['https://me:secret@h.example/a/b.qcow2?token=secret&x=1#secret', 'https://h.example/a/b.qcow2?token=…&x=…', 'b.qcow2'],
  ['https://h.example/?secret', 'https://h.example/?…', 'h.example'],
  ['https://h.example/%1B[2Jx?%1B[2J=1', 'https://h.example/%1B[2Jx?%1B[2J=…', '[2Jx'],
  ['https://h.example/a%2Fb%00c', 'https://h.example/a%2Fb%00c', 'a/bc'],
  ['https://h.example/100%/', 'https://h.example/100%/', '100%'],
])('%s is shown as %s', (text, shown, name) => {
  expect(displayUrl(parseImageUrl(text))).toBe(shown)
  expect(fileNameOf(parseImageUrl(text))).toBe(name)
})

test('of 100,000 hostile URLs none shows a password, a token or a control character, and none names a file outside of the cache', () => {
  const random = createRandom(23)
  const plain = [
    'https://',
    'http://',
    'me:',
    'secret@',
    'h.example',
    ':8443',
    '/',
    'a',
    'disk.qcow2',
    '%2e%2e',
    '%1B',
    '?t=secret',
    '&u=secret',
    '#secret',
  ]
  let parsed = 0
  const count = 100_000
  for (let round = 0; round < count; round++) {
    const start = random.oneIn(4) ? '' : 'https://me:secret@h.example/'
    const url = tryToParse(`${start}${hostileText(random, {plain, length: random.below(9)})}`)
    if (url === undefined || !['http:', 'https:'].includes(url.protocol)) continue
    parsed += 1
    const shown = displayUrl(url)
    const name = fileNameOf(url)
    const isBad =
      !/^https?:\/\/[\x21-\x7E…]+$/.test(shown) ||
      !shown.startsWith(`${url.protocol}//${url.host}/`) ||
      /=[^…]/.test(shown.slice(shown.indexOf('?') + 1 || shown.length)) ||
      /[\p{Cc}\p{Cf}]/u.test(name) ||
      !/^[0-9a-f]{64}$/.test(urlKey(url))
    if (isBad) throw new Error(`${JSON.stringify(url.href)} is shown as ${JSON.stringify(shown)}, its file as ${JSON.stringify(name)}`)
  }
  // Otherwise the generator would be at fault.
  expect(parsed).toBeGreaterThan(count / 2)
})
