import {spawnSync} from 'node:child_process'

import {describe, expect, test} from 'vitest'

import {readPrograms, stalePrograms} from '../scripts/programs.ts'
import {stripProgram} from '../scripts/strip-program.ts'
import {guestShells} from './support/shells.ts'

const programs = readPrograms()

test('what is built in is what the files say', () => {
  expect(programs.length).toBeGreaterThan(15)
  expect(stalePrograms()).toEqual([])
})

/** How bash understands a program: the same for two texts only when they mean the same. */
const understood = (program: string): string => {
  const {status, stdout, stderr} = spawnSync('bash', ['--posix', '-c', `program() {\n${program}\n}\ndeclare -f program`], {
    encoding: 'utf8',
  })
  expect([status, stderr]).toEqual([0, ''])
  return stdout
}

describe.each(programs)('$path', ({whole, text, variables, statuses, summary}) => {
  test('means the same to the shell without what only readers need', () => {
    const declarations = /^: "\$\{\w+\?.*\}"$/gm
    expect(understood(text)).toBe(understood(whole.replaceAll(declarations, '')))
    expect(text).not.toMatch(/^(?:\s*#|$)/m)
  })

  test('says what it does, and which statuses mean what', () => {
    expect(summary).toMatch(/\w/)
    const used = [...text.matchAll(/\bexit (\d\d+)/g)].map(([, status]) => Number(status))
    expect(new Set(used.filter((status) => status !== 126))).toEqual(new Set(Object.values(statuses)))
  })

  test('wants no variable that it does not use', () => {
    expect(variables.filter((name) => !new RegExp(String.raw`\$\{?${name}\b`).test(text))).toEqual([])
  })
})

test('a status means one thing in all programs', () => {
  const meanings = Map.groupBy(
    programs.flatMap(({statuses}) => Object.entries(statuses)),
    ([, status]) => status,
  )
  for (const [status, names] of meanings) expect(new Set(names.map(([name]) => name)).size, String(status)).toBe(1)
})

describe.each(guestShells())('$name', ({missing, sh}) => {
  test.skipIf(missing)('reads them all', () => {
    for (const {path, text} of programs) {
      // ksh93 warns of what it would write in its own way.
      const {status, stderr} = spawnSync(sh, ['-n', '-c', text], {encoding: 'utf8'})
      expect([status, stderr.replaceAll(/^.*\bwarning: .*\n/gm, '')], path).toEqual([0, ''])
    }
  })
})

test('what is between quotes stays, and what has no place in a program is refused', () => {
  const program = `# head\n: "\${a?what}"\nif :; then\n  awk '\n    # not a comment\n    {print "x"}'\n  echo "it's\n  so" \\"\n\n  # tail\nfi\n`
  expect(stripProgram(program)).toBe(`if :; then\nawk '\n    # not a comment\n    {print "x"}'\necho "it's\n  so" \\"\nfi`)
  expect(() => stripProgram('cat <<END\nEND\n')).toThrow('no here-documents')
  expect(() => stripProgram(`echo 'a\n`)).toThrow('left open')
})
