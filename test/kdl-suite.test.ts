import {existsSync, readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'

import {expect, it} from 'vitest'

import {startReport} from '../src/vmfile/kdl/report.ts'
import {parseKdl} from '../src/vmfile/kdl/syntax.ts'
import type {KdlNode, Value} from '../src/vmfile/kdl/tree.ts'
import {testUnless} from './support/programs.ts'

/**
 * The official test cases of KDL 2 (kdl-org/kdl, tests/test_cases), which have a licence of their own and are no part of this
 * repository: a directory with `input/` and `expected_kdl/`.
 */
const suite = process.env.VMCTL_KDL_SUITE ?? join(import.meta.dirname, '../../shared/data/kdl-suite')
const missing = existsSync(join(suite, 'input')) ? undefined : 'the KDL test suite is not here: name its directory by VMCTL_KDL_SUITE'

/** What vmctl accepts on purpose, with a warning: a raw string of KDL 1. */
const deliberate = ['legacy_raw_string_hash_fail.kdl']

const parse = (path: string): readonly KdlNode[] | undefined => {
  const text = readFileSync(path, 'utf8')
  const report = startReport(text, path)
  const nodes = parseKdl(text, report)
  return report.hasErrors() ? undefined : nodes
}

/** What a file means: no places, and of a key that comes twice the last value. */
const meaning = (nodes: readonly KdlNode[]): unknown =>
  nodes.map(({name, args, properties, children}) => ({
    name,
    args: args.map(({value}) => value),
    properties: Object.fromEntries(properties.flatMap(({key, value}): [string, Value['value']][] => (value ? [[key, value.value]] : []))),
    children: meaning(children ?? []),
  }))

const inputs = missing === undefined ? readdirSync(join(suite, 'input')).filter((name) => name.endsWith('.kdl')) : ['the suite']

testUnless(missing)('the suite is whole', () => {
  expect(inputs.length).toBeGreaterThan(300)
})

it.skipIf(missing !== undefined).each(inputs)('%s', (name) => {
  const expected = join(suite, 'expected_kdl', name)
  const nodes = parse(join(suite, 'input', name))
  if (!existsSync(expected)) {
    expect(nodes === undefined || deliberate.includes(name), 'it has to be refused').toBe(true)
    return
  }
  expect(nodes && meaning(nodes)).toEqual(meaning(parse(expected) ?? []))
})
