import {globSync, readFileSync} from 'node:fs'
import {join} from 'node:path'

import {expect, test} from 'vitest'

import {handWrittenPages} from '../scripts/docs.ts'

const root = join(import.meta.dirname, '..')

/** Words that are not those of the field, or that nobody says in English, each with the one that is. */
const replaced: readonly (readonly [RegExp, string])[] = [
  [/\bthis computer\b|\bwith the computer\b/i, 'host, at boot'],
  [/(?<!to-)\blog-ins?\b/i, 'login'],
  [/\bin a circle\b|\bthe circle\b/i, 'cycle'],
  [/\b(?:leads?|lead) (?:a |to a |from a )?(?:host )?port\b|\bport (?:leads|cannot lead)\b/i, 'forward'],
  [/\b(?:a|is a) defect\b/i, 'bug'],
  [/\breport a hole\b/i, 'vulnerability'],
  [/\btells? of\b|\band told\b|\bis told by\b/i, 'report'],
  [/\bas it should be\b/i, 'cut it'],
  [/\b(?:a|write a|with a) blank\b|\bwith blanks\b|\band blanks\b|\bwithout blanks\b/i, 'space'],
  [/\bTexts\b/, 'strings'],
  [/\ban advice\b/i, 'advice'],
  [/\bshall\b/i, 'should'],
  [/\bLook again\b/i, 'refresh'],
]

/** Where a text says one of them: `docs/x.md:3: … (host)`. */
const found = (path: string, lines: readonly (readonly [number, string])[]): string[] =>
  lines.flatMap(([number, line]) =>
    replaced.flatMap(([pattern, better]) => {
      const match = pattern.exec(line)
      return match ? [`${path}:${number}: ${match[0]} (${better})`] : []
    }),
  )

const numbered = (path: string): (readonly [number, string])[] =>
  readFileSync(join(root, path), 'utf8')
    .split('\n')
    .map((line, index) => [index + 1, line] as const)

test('the pages speak the words of the field', () => {
  // What a decision says of words themselves, and what a changelog says of the past, may name the others.
  const pages = handWrittenPages().filter((page) => !/decisions\/00(?:13|24)-/.test(page))
  const examples = globSync('examples/**/*.{kdl,sh,ts,js}', {cwd: root})
  expect([...pages, ...examples].flatMap((path) => found(path, numbered(path)))).toEqual([])
})

/** The parts of a line of source that stand in quotes. */
const quoted = (line: string): string =>
  /^\s*(?:\/\/|\*|\/\*)/.test(line)
    ? ''
    : [...line.matchAll(/'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|^[^'`]*`$/g)].map(([text]) => text).join(' ')

test('the messages speak the words of the field', () => {
  const sources = globSync('src/**/*.ts', {cwd: root}).filter((path) => !path.endsWith('.test.ts'))
  expect(
    sources.flatMap((path) =>
      found(
        path,
        numbered(path).map(([number, line]) => [number, quoted(line)] as const),
      ),
    ),
  ).toEqual([])
})
