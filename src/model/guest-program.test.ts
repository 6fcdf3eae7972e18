import {execFileSync} from 'node:child_process'

import {expect, test} from 'vitest'

import {type GuestProgram, programText, shellCommand, shellFromInput} from './guest-program.ts'

const tell: GuestProgram<'first' | 'second', 'over'> = {
  variables: ['first', 'second'],
  statuses: {over: 9},
  text: 'printf "%s|%s|" "$first" "$second"',
}

test('variables arrive as they are, by both ways to run a program', () => {
  for (const first of [`it's`, '$(id) `id` $HOME', 'two\nlines\n', '-n', '\\', '']) {
    const text = programText(tell, {first, second: 7})
    expect(execFileSync('sh', ['-c', shellCommand(text)], {encoding: 'utf8'})).toBe(`${first}|7|`)
    expect(execFileSync('sh', ['-c', shellFromInput('vmctl-test')], {input: text, encoding: 'utf8'})).toBe(`${first}|7|`)
  }
  expect(programText(tell, {first: true, second: false})).toBe(`first='1'\nsecond=''\n${tell.text}`)
  expect(() => programText(tell, {first: 'a\0b', second: ''})).toThrow(RangeError)
})

test('a variable that is missing or unknown is an error of types', () => {
  const plain: GuestProgram<never> = {variables: [], statuses: {}, text: 'echo'}
  expect(programText(plain)).toBe('echo')
  // @ts-expect-error `second` is missing
  programText(tell, {first: ''})
  // @ts-expect-error there is no `third`
  programText(tell, {first: '', second: '', third: ''})
  // @ts-expect-error it wants some
  programText(tell)
  // @ts-expect-error it wants none
  programText(plain, {first: ''})
  // @ts-expect-error it has no such status
  expect(tell.statuses.begun).toBeUndefined()
})
