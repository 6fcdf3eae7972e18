import {describe, expect, it} from 'vitest'

import type {Problem} from './errors.ts'
import {frame, frameLines} from './frame.ts'

const problem = (line: number, column: number, length: number, hint?: string): Problem => ({
  code: 'vmctl::vmfile::validation',
  severity: 'error',
  file: 'VMFile.kdl',
  line,
  column,
  length,
  message: 'no',
  ...(hint === undefined ? {} : {hint}),
})

describe('frame', () => {
  it('shows the line, a caret under each character, and the hint', () => {
    expect(frame('vm "a" {\n    vcpus "2"\n}', problem(2, 11, 3, 'write 2'))).toBe(
      ['  --> VMFile.kdl:2:11', '2 |     vcpus "2"', '  |           ^^^', '  = help: write 2'].join('\n').replace('  -->', ' -->'),
    )
  })

  it('aligns line numbers of several digits', () => {
    expect(frame('\n'.repeat(99) + 'abc', problem(100, 2, 1))).toBe('   --> VMFile.kdl:100:2\n100 | abc\n    |  ^')
  })

  it('shows tabs as blanks, and characters of two cells and of none with carets that fit', () => {
    expect(frame('\t漢字 e\u0301 😀 x', problem(1, 2, 2))).toBe(' --> VMFile.kdl:1:2\n1 |     漢字 e\u0301 😀 x\n  |     ^^^^')
    expect(frame('\t漢字 e\u0301 😀 x', problem(1, 10, 1))).toBe(' --> VMFile.kdl:1:10\n1 |     漢字 e\u0301 😀 x\n  |               ^')
  })

  it('shows control characters and direction overrides by their number', () => {
    expect(frame('a\u001B[31m\u202Eb', problem(1, 7, 1))).toBe(' --> VMFile.kdl:1:7\n1 | a<1B>[31m<202E>b\n  |          ^^^^^^')
  })

  it('hides passwords in URLs, and keeps the carets in place', () => {
    expect(frame('image-url "https://me:secret@example.com/" x=1', problem(1, 44, 3))).toBe(
      ' --> VMFile.kdl:1:44\n1 | image-url "https://*********@example.com/" x=1\n  |                                            ^^^',
    )
  })

  it('cuts long lines around the place', () => {
    const line = `${'a'.repeat(500)}X${'b'.repeat(500)}`
    const [, source, caret] = frame(line, problem(1, 501, 1)).split('\n')
    expect(source?.length).toBeLessThan(110)
    expect(source).toMatch(/^1 \| …a+Xb+…$/)
    expect(caret?.indexOf('^')).toBe(source?.indexOf('X'))
    expect(frame('x'.repeat(1_000_000), problem(1, 900_000, 1_000)).length).toBeLessThan(300)
  })

  it('points behind the last character of a line', () => {
    expect(frame('abc\n', problem(1, 4, 1))).toBe(' --> VMFile.kdl:1:4\n1 | abc\n  |    ^')
  })

  it('does without a line that is empty or not there', () => {
    expect(frame('', problem(1, 1, 1, 'help'))).toBe(' --> VMFile.kdl:1:1\n  = help: help')
    expect(frame('a', problem(7, 1, 1))).toBe(' --> VMFile.kdl:7:1')
  })

  it('comes in lines for a caller that colours them', () => {
    expect(frameLines('abc', problem(1, 2, 1, 'help'))).toEqual([
      {kind: 'place', margin: ' --> ', text: 'VMFile.kdl:1:2'},
      {kind: 'source', margin: '1 | ', text: 'abc'},
      {kind: 'caret', margin: '  | ', text: ' ^'},
      {kind: 'hint', margin: '  = ', text: 'help: help'},
    ])
  })
})
