import {globSync, readFileSync} from 'node:fs'
import {join} from 'node:path'

import {parse as parseKdljs} from 'kdljs'
import {describe, expect, it} from 'vitest'

import {startReport} from './report.ts'
import {parseKdl} from './syntax.ts'
import type {KdlNode} from './tree.ts'

const root = join(import.meta.dirname, '../../..')

/** What a document says, by whatever parser: names, arguments, properties and children. */
type Said = readonly {readonly name: string; readonly args: readonly unknown[]; readonly properties: object; readonly children: Said}[]

const ours = (text: string): Said | undefined => {
  const said = (nodes: readonly KdlNode[]): Said =>
    nodes.map(({name, args, properties, children = []}) => ({
      name,
      args: args.map(({value}) => value),
      properties: Object.fromEntries(properties.flatMap(({key, value}) => (value ? [[key, value.value]] : []))),
      children: said(children),
    }))
  const nodes = parseKdl(text, startReport(text, 'VMFile.kdl'))
  return nodes && said(nodes)
}

type Node = NonNullable<ReturnType<typeof parseKdljs>['output']>[number]

const theirs = (text: string): Said | undefined => {
  const said = (nodes: readonly Node[]): Said =>
    nodes.map(({name, values, properties, children}) => ({name, args: values, properties: {...properties}, children: said(children)}))
  const {output} = parseKdljs(text)
  return output && said(output)
}

/** A VMFile that the two read differently, and why. */
const differences: Readonly<Record<string, string>> = {
  'fixtures/vmfiles/good/everything.kdl': 'kdljs loses a property that is called __proto__',
}

const files = globSync(['fixtures/**/*.kdl', 'examples/**/*.kdl'], {cwd: root}).toSorted()

describe('every VMFile of the repository says the same to kdljs', () => {
  it('there are some', () => expect(files.length).toBeGreaterThan(150))

  it.each(files.filter((file) => !Object.hasOwn(differences, file)))('%s', (file) => {
    const text = readFileSync(join(root, file), 'utf8')
    expect(ours(text)).toEqual(theirs(text))
  })

  it.each(Object.entries(differences))('but for %s: %s', (file) => {
    const text = readFileSync(join(root, file), 'utf8')
    expect(ours(text)).not.toEqual(theirs(text))
  })
})
