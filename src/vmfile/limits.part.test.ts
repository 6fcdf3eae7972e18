import {describe, expect, it} from 'vitest'

import {useWorkspace, type Workspace} from '../../fixtures/vmfiles/workspace.ts'

describe('any input', () => {
  let workspace: Workspace
  useWorkspace((made) => {
    workspace = made
  })

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
