import {execFileSync} from 'node:child_process'

import {describe, expect, test} from 'vitest'

import {temporaryDirectory} from '../../test/support/builders.ts'
import {missingProgram} from '../../test/support/programs.ts'
import {loginShells} from '../../test/support/shells.ts'
import {anyShell, anyShellWords, clean} from './any-shell.ts'
import {quoteAll} from './quote.ts'

const awkward = [
  `it's`,
  'back\\slash \\n \\\\',
  'bang!bang !! !$',
  '$HOME `id` $(id) ${x}',
  'two\nlines\n\n',
  'tab\tand \u0001',
  '"double"',
  '* ? [a] {a,b} ~ ^ # % & ; | < > ( )',
  '',
  '-n',
  'äöü → 🙂',
]

const pathOf = (shell: string): string => execFileSync('/bin/sh', ['-c', `command -v ${shell}`], {encoding: 'utf8'}).trim()

describe.each(loginShells.filter((shell) => missingProgram(shell, ['-c', 'true']) === undefined))('by the login shell %s', (shell) => {
  const path = pathOf(shell)
  const run = (line: string, env: Readonly<Record<string, string>> = {}): string =>
    execFileSync(path, ['-c', line], {encoding: 'utf8', env: {HOME: temporaryDirectory(), PATH: process.env.PATH, ...env}, stdio: 'pipe'})

  test('a command line of several lines is run as it is, behind the mark', () => {
    const command = `x=1\nfor word in ${quoteAll(awkward)}; do\n  printf '%s|' "$word"\ndone\nprintf "$x"`
    expect(run(anyShell(command, 'mark-1'))).toBe(`mark-1\n${awkward.map((word) => `${word}|`).join('')}1`)
    expect(run(anyShell(command))).toBe(`${awkward.map((word) => `${word}|`).join('')}1`)
  })

  test('words arrive as they are', () => {
    for (const words of [awkward, ['plain', 'two words', '$x']])
      expect(run(anyShellWords(['printf', '%s|', ...words]))).toBe(words.map((word) => `${word}|`).join(''))
  })

  test('variables that change what programs do are gone, and a PATH on which nothing is found is mended', () => {
    const env = {TAR_OPTIONS: '--nonsense', CDPATH: '/', BASH_ENV: '/nonsense', POSIXLY_CORRECT: '1', KEPT: 'yes', PATH: '/nonsense'}
    const home = temporaryDirectory()
    const names = (command: string): string[] =>
      run(command, {...env, HOME: home})
        .split('\n')
        .map((line) => line.split('=')[0] ?? '')
    const kept = names(anyShell('env'))
    expect(kept).toContain('KEPT')
    for (const name of ['TAR_OPTIONS', 'CDPATH', 'BASH_ENV', 'POSIXLY_CORRECT']) expect(kept).not.toContain(name)
    expect(names(anyShell(clean('env')))).not.toContain('KEPT')
    expect(run(anyShell(clean('cat </dev/null && pwd')), {...env, HOME: home})).toBe(`${home}\n`)
  })
})

test('a NUL character is refused', () => {
  expect(() => anyShell('a\0b')).toThrow(RangeError)
})
