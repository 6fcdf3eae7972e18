import {execFileSync} from 'node:child_process'

import {expect, test} from 'vitest'

import {splitShellWords} from './shell-words.ts'

const lines = [
  'a b  c',
  String.raw`--name 'two words' "and 'more'"`,
  String.raw`a\ b c\"d`,
  String.raw`"a\"b\\c\d"`,
  `''`,
  `a'b'"c"`,
  '  ',
  'x=1 -y\tz',
]

test.each(lines)('%j is split as sh does', (line) => {
  const words = execFileSync('sh', ['-c', `printf '%s\\0' _ ${line}`], {encoding: 'utf8'})
    .split('\0')
    .slice(1, -1)
  expect(splitShellWords(line)).toEqual(words)
})

test.each(['$HOME', '"$HOME"', '`id`', '*.txt', 'a; b', 'a | b', "it's", '"open', '~/x', 'a > b', '$(id)'])(
  '%j is more than words',
  (line) => {
    expect(splitShellWords(line)).toBeUndefined()
  },
)
