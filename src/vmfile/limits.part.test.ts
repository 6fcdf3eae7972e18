import {readdirSync, readFileSync} from 'node:fs'

import fc from 'fast-check'
import {afterAll, beforeAll, describe, expect, it, vi} from 'vitest'

import {makeWorkspace, type Workspace} from '../../fixtures/vmfiles/workspace.ts'
import {frame} from '../model/frame.ts'

const fixtures = new URL('../../fixtures/vmfiles/', import.meta.url)
const sources = ['book/', 'bad/', 'good/'].flatMap((folder) =>
  readdirSync(new URL(folder, fixtures))
    .filter((name) => name.endsWith('.kdl'))
    .map((name) => readFileSync(new URL(folder + name, fixtures), 'utf8')),
)

const fragments = [
  '"',
  '"""',
  '#"',
  '"#',
  '#"""',
  '"""#',
  '{',
  '}',
  '(',
  ')',
  '=',
  ';',
  '\\',
  '/-',
  '//',
  '/*',
  '*/',
  '\n',
  '\r',
  '\t',
  ' ',
  ',',
  "'",
  '#',
  '#true',
  'true',
  'r"',
  'r#"a"#',
  '0x',
  '1e999',
  '-1',
  '2G',
  '\0',
  '\uFEFF',
  '\u202E',
  '\uD800',
  '😀',
  '\\u{1F600}',
  '__proto__',
  'constructor',
  'toString=1',
  'vm',
  'image',
  'provision',
  'ssh',
  '"x" "y"',
  '(u8)',
  '[',
  '\u2028',
  '\u0085',
  '"a\\nb"',
  'env',
  'network',
]

describe('any input', () => {
  let workspace: Workspace
  beforeAll(() => {
    workspace = makeWorkspace()
    vi.stubEnv('HOME', workspace.home)
  })
  afterAll(() => {
    vi.unstubAllEnvs()
    workspace.remove()
  })

  /** Anything but a VmctlError is thrown by `problems`, and fails the test. */
  const expectSense = async (text: string): Promise<void> => {
    const problems = await workspace.problems(text)
    const lines = text.split(/\r\n|\n|\r/)
    let place = 0
    for (const problem of problems) {
      expect(problem.message).toMatch(/^\P{Control}+$/u)
      expect(problem.line).toBeLessThanOrEqual(lines.length)
      expect(problem.column).toBeLessThanOrEqual(Array.from(lines[problem.line - 1] ?? '').length + 1)
      expect(problem.length).toBeGreaterThan(0)
      const next = problem.line * 1e6 + problem.column
      expect(next).toBeGreaterThanOrEqual(place)
      place = next
      const drawn = frame(text, problem)
      expect(drawn).toMatch(/^ *--> VMFile\.kdl:\d+:\d+\n/)
      expect(drawn.replaceAll('\n', '')).toMatch(/^\P{Control}*$/u)
    }
  }

  it('that began as a VMFile gives a VMFile or problems', async () => {
    const edit = fc.record({
      at: fc.double({min: 0, max: 1, noNaN: true}),
      remove: fc.oneof(fc.constant(0), fc.nat(3), fc.nat(60)),
      insert: fc.oneof(fc.constant(''), fc.constantFrom(...fragments), fc.string({unit: 'binary', maxLength: 3})),
    })
    const mutated = fc.tuple(fc.constantFrom(...sources), fc.array(edit, {minLength: 1, maxLength: 4})).map(([source, edits]) => {
      let text = source
      for (const {at, remove, insert} of edits) {
        const offset = Math.floor(at * text.length)
        text = text.slice(0, offset) + insert + text.slice(offset + remove)
      }
      return text
    })
    await fc.assert(fc.asyncProperty(mutated, expectSense), {numRuns: 2000})
  }, 60_000)

  it('made of the pieces of the language gives a VMFile or problems', async () => {
    const pieces = fc.array(fc.constantFrom(...fragments, ' ', ' ', '\n'), {maxLength: 30}).map((parts) => parts.join(''))
    await fc.assert(fc.asyncProperty(pieces, expectSense), {numRuns: 2000})
  }, 60_000)

  it.each(
    [
      '#',
      '#"',
      '##"""\n',
      '##"a',
      '"',
      '{',
      'a {\n',
      '}',
      '/*',
      '//',
      '/- ',
      '\\\n',
      '(a)',
      'a=',
      'a=1 ',
      ';',
      '\n',
      'a',
      '1',
      'a ',
      '"a" ',
      '"\\n" ',
      '"""\n"""\n',
      '\0',
      '[',
      '\uD800',
      '\uFEFF',
      'vm a { }\n',
      'true ',
    ].map((piece) => [JSON.stringify(piece), piece] as const),
  )('%s many times over gives problems, soon', async (_name, piece) => {
    const problems = await workspace.problems(piece.repeat(Math.floor(100_000 / piece.length)))
    expect(problems.length).toBeGreaterThan(0)
    expect(problems.length).toBeLessThanOrEqual(1000)
  })

  it('of more than 1 MB is refused', async () => {
    const [problem] = await workspace.problems(' '.repeat(2 ** 20 + 1))
    expect(problem?.message).toBe('a VMFile has 1 MB at most')
  })

  it('nested deeper than 64 is refused, and 64 is not', async () => {
    const nest = (depth: number): string => 'a {\n'.repeat(depth) + '}\n'.repeat(depth)
    const messages = async (text: string): Promise<readonly string[]> => (await workspace.problems(text)).map(({message}) => message)
    expect(await messages(nest(64))).toEqual(['unknown node "a"'])
    expect(await messages(nest(65))).toEqual(['blocks are nested deeper than 64'])
    expect(await messages('/*'.repeat(64) + '*/'.repeat(64))).toEqual(['no vm definitions found'])
    expect(await messages('/*'.repeat(65) + '*/'.repeat(65))).toEqual(['comments are nested deeper than 64'])
  })
})
