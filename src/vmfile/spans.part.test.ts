import {readdirSync, readFileSync} from 'node:fs'

import {type Document, type Entry, getLocation, type Node, parse} from '@bgotink/kdl'
import fc from 'fast-check'
import {describe, expect, it} from 'vitest'

import {startReport} from './kdl/report.ts'
import {parseKdl} from './kdl/syntax.ts'
import type {KdlNode} from './kdl/tree.ts'

/** What the two parsers must agree on: names, values and the offsets of both. */
type Outline = readonly [name: string, start: number, end: number, entries: readonly unknown[], children: readonly Outline[] | undefined]

const ours = (nodes: readonly KdlNode[]): readonly Outline[] =>
  nodes.map(({name, span, args, properties, children}) => [
    name,
    span.start,
    span.end,
    [
      // For @bgotink/kdl the annotation belongs to an argument, but not to the value of a property.
      ...args.map(({value, annotation, start, end}) => [value, annotation?.start ?? start, end]),
      ...properties.map(({key, span: {start, end}, value}) =>
        value ? [key, start, end, value.value, value.start, value.end] : [key, start, end],
      ),
    ],
    children && ours(children),
  ])

const placeOf = (part: Parameters<typeof getLocation>[0]): readonly [number, number] => {
  const location = getLocation(part)
  if (!location) throw new Error('no location')
  return [location.start.offset, location.end.offset]
}

const theirs = (document: Document): readonly Outline[] => document.nodes.map((node) => outlineOf(node))

const outlineOf = (node: Node): Outline => {
  const properties = node.entries.filter((entry) => entry.name !== null)
  const isLast = (entry: Entry): boolean => properties.findLast((other) => other.name?.name === entry.name?.name) === entry
  return [
    node.name.name,
    ...placeOf(node.name),
    [
      ...node.entries.filter((entry) => entry.name === null).map((entry): unknown => [entry.value.value, ...placeOf(entry.value)]),
      ...properties.map((entry): unknown => {
        const key = entry.name ? [entry.name.name, ...placeOf(entry.name)] : []
        return isLast(entry) ? [...key, entry.value.value, ...placeOf(entry.value)] : key
      }),
    ],
    node.children ? theirs(node.children) : undefined,
  ]
}

const parseOurs = (text: string): readonly KdlNode[] | undefined => parseKdl(text, startReport(text, 'VMFile.kdl'))

const expectAgreement = (text: string): void => {
  const nodes = parseOurs(text)
  expect(nodes && ours(nodes)).toEqual(theirs(parse(text, {storeLocations: true})))
}

const fixtures = new URL('../../fixtures/vmfiles/', import.meta.url)
const files = ['book/', 'good/', 'bad/'].flatMap((folder) =>
  readdirSync(new URL(folder, fixtures))
    .filter((name) => name.endsWith('.kdl'))
    .map((name) => folder + name),
)

describe('places in the text, compared with those of @bgotink/kdl', () => {
  it.each(files)('%s', (name) => expectAgreement(readFileSync(new URL(name, fixtures), 'utf8')))

  it('holds for documents of every form', () => {
    const bare = fc.constantFrom('vm', 'image-url', '-x', 'ä', '😀', '"q u"', '#"r"w"#', '"\\u{41}"', '"__proto__x"', '"1"')
    const value = fc.oneof(
      bare,
      fc.constantFrom(
        '1',
        '-2.5',
        '0o17',
        '1_000',
        '#true',
        '#null',
        '#inf',
        '"a\\n\\tb"',
        '"""\n  m\n    l\n  """',
        '#"""\n  r\\\n  """#',
        '(u8)1',
        '(t)"x"',
      ),
    )
    const gap = fc.constantFrom(' ', '\t ', ' /* c */ ', ' \\\n ', ' \\ // c\n  ')
    const entry = fc.oneof(
      value,
      fc.tuple(bare, value).map(([key, text]) => `${key}=${text}`),
      value.map((text) => `/-${text}`),
    )
    const end = fc.constantFrom('\n', ';', ' // c\n', '\r\n', '\n\n  ')
    const {document} = fc.letrec<{document: string; node: string}>((tie) => ({
      document: fc
        .array(
          fc.tuple(fc.constantFrom('', '', '/-', '/- ', '(t)', '/* c */ '), tie('node'), end).map((parts) => parts.join('')),
          {maxLength: 4},
        )
        .map((nodes) => nodes.join('')),
      node: fc
        .tuple(
          bare,
          fc.array(
            fc.tuple(gap, entry).map((parts) => parts.join('')),
            {maxLength: 4},
          ),
          fc.option(tie('document'), {depthSize: 'small', nil: undefined}),
        )
        .map(([name, entries, block]) => `${name}${entries.join('')}${block === undefined ? '' : ` { ${block} }`}`),
    }))
    fc.assert(
      fc.property(document, (text) => expectAgreement(text)),
      {numRuns: 1000},
    )
  })
})
