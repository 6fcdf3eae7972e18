import {readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'

import {beforeAll, describe, expect, it} from 'vitest'

import {backends, useWorkspace, type Workspace} from '../../../fixtures/vmfiles/workspace.ts'
import {isVmctlError} from '../../model/errors.ts'
import type {Fields, Shape} from '../grammar/shapes.ts'
import {startReport} from '../kdl/report.ts'
import {parseKdl} from '../kdl/syntax.ts'
import type {KdlNode, Property} from '../kdl/tree.ts'
import {languageWith} from './stack.ts'

const vmfile = languageWith(backends)

const root = join(import.meta.dirname, '../../..')

/** The fields that a node can have; those of all types of a choice. */
const innerOf = (shape: Shape): readonly (readonly [string, Fields])[] => {
  if (shape.shape === 'block') return [['', shape.fields]]
  if (shape.shape !== 'choice') return []
  const named = shape.named ? [['named/', shape.named.fields] as const] : []
  return [...Object.entries<Fields>(shape.variants).map(([type, fields]) => [`${type}/`, fields] as const), ...named]
}

/** Every shape of the language with its path: `vm/network/tap/bridge`. */
const flatten = (path: string, fields: Fields): readonly (readonly [string, Shape])[] =>
  Object.entries(fields).flatMap(([name, shape]): readonly (readonly [string, Shape])[] => [
    [`${path}${name}`, shape],
    ...innerOf(shape).flatMap(([type, inner]) => flatten(`${path}${name}/${type}`, inner)),
  ])

// The settings of all VMs in `defaults` are those of a VM.
const shapes = flatten('', vmfile.fields).filter(([path]) => !path.startsWith('project/defaults/'))

describe('the table of the language', () => {
  it('is found', () => expect(shapes.length).toBeGreaterThan(100))

  it.each(shapes)('%s is documented in one sentence', (_path, {doc}) => {
    expect(doc).toMatch(/^[A-Z][^\n]{5,150}\.$/)
  })

  it.each(shapes.filter(([, shape]) => 'kind' in shape))('the example and the default of %s are acceptable', (_path, shape) => {
    const kind = 'kind' in shape ? shape.kind : undefined
    const faults: string[] = []
    const fail = (message: string): undefined => void faults.push(message)
    const example = `a ${kind?.example}`
    const [node] = parseKdl(example, startReport(example, 'x')) ?? []
    if (!example.includes('…')) kind?.read(node?.args[0]?.value ?? null, fail)
    expect(faults).toEqual([])
    if (shape.shape === 'field' && kind?.words && shape.default !== undefined)
      expect(kind.words).toContain(typeof shape.default === 'boolean' ? `#${shape.default}` : shape.default)
  })
})

/** Where something of the language is written, and the file without it. */
interface Use {
  readonly path: string
  readonly without: readonly KdlNode[]
}

/** Everything that some nodes say, by the paths of the language. */
const usesOf = (nodes: readonly KdlNode[], fields: Fields, path: string): readonly Use[] =>
  nodes.flatMap((node, index) => {
    const shape = Object.hasOwn(fields, node.name) ? fields[node.name] : undefined
    if (!shape) return []
    const own = `${path}${node.name}`
    const replace = (next: KdlNode): readonly KdlNode[] => nodes.with(index, next)
    const type = String(node.args[0]?.value ?? (shape.shape === 'choice' ? shape.default : ''))
    const [suffix, inner] = innerOf(shape).find(([name]) => name === '' || name === `${type}/`) ?? innerOf(shape).at(-1) ?? ['', {}]
    return [
      {path: own, without: nodes.toSpliced(index, 1)},
      ...node.properties
        .filter(({key}) => Object.hasOwn(inner, key))
        .map(({key}, at) => ({path: `${own}/${suffix}${key}`, without: replace({...node, properties: node.properties.toSpliced(at, 1)})})),
      ...positionalUses(node, shape, own).map(({path: name, without}) => ({path: name, without: replace(without)})),
      ...usesOf(node.children ?? [], inner, `${own}/${suffix}`).map((use) => ({
        path: use.path,
        without: replace({...node, children: use.without}),
      })),
    ]
  })

const positionalUses = (node: KdlNode, shape: Shape, path: string): readonly {readonly path: string; readonly without: KdlNode}[] => {
  if (shape.shape !== 'block') return []
  const own = shape.argument ? 1 : 0
  const names: readonly string[] = shape.positional ?? []
  return node.args.slice(own).map((_arg, index) => ({
    path: `${path}/${names[Math.min(index, names.length - 1)]}`,
    without: {...node, args: node.args.toSpliced(own + index, 1)},
  }))
}

const written = (value: unknown): string =>
  typeof value === 'string' ? JSON.stringify(value) : `${typeof value === 'number' ? '' : '#'}${String(value)}`

const toText = (nodes: readonly KdlNode[]): string =>
  nodes
    .map(({name, args, properties, children}) => {
      const pairs = properties.map(({key, value}: Property) => `${JSON.stringify(key)}=${written(value?.value)}`)
      const line = [JSON.stringify(name), ...args.map(({value}) => written(value)), ...pairs].join(' ')
      return children ? `${line} {\n${toText(children)}\n}` : line
    })
    .join('\n')

/** What has a home of its own is a file of its own: the rest cannot be there. */
const files = ['language.kdl', 'language-home.kdl'].map((name) => {
  const path = join(root, 'fixtures/vmfiles/good', name)
  const text = readFileSync(path, 'utf8')
  return {name, text, uses: usesOf(parseKdl(text, startReport(text, path)) ?? [], vmfile.fields, '')}
})

describe('no field of the language is dead', () => {
  let workspace: Workspace
  useWorkspace((made) => {
    workspace = made
  })

  /** What a file means, or what is wrong with it. */
  const meaning = async (source: string): Promise<unknown> => {
    try {
      const {vms, networks, volumes, project} = await workspace.parse(source)
      return {vms, networks, volumes, project}
    } catch (error) {
      return isVmctlError(error) ? error.problems.map(({message}) => message) : error
    }
  }

  beforeAll(() => void workspace.write('bin/qemu', ''))

  const wholes = new Map<string, Promise<unknown>>()
  const whole = (name: string, text: string): Promise<unknown> => {
    const known = wholes.get(name) ?? meaning(text)
    wholes.set(name, known)
    return known
  }

  it.each(files)('the fixture $name is a VMFile', async ({name, text}) => {
    expect(await whole(name, text)).toMatchObject({vms: expect.anything()})
  })

  it('the fixture has each of them', () => {
    const missing = new Set(shapes.map(([path]) => path)).difference(new Set(files.flatMap(({uses}) => uses.map(({path}) => path))))
    expect([...missing]).toEqual([])
  })

  it.each(files.flatMap(({name, text, uses}) => uses.map(({path, without}) => [path, {name, text, without}] as const)))(
    'without %s the file means something else',
    async (_path, {name, text, without}) => {
      expect(await meaning(toText(without))).not.toEqual(await whole(name, text))
    },
  )

  const guide = readdirSync(join(root, 'docs'), {recursive: true, encoding: 'utf8'})
    .filter((path) => path.endsWith('.md') && !/^(?:reference|decisions)\//.test(path))
    .map((path) => readFileSync(join(root, 'docs', path), 'utf8'))
    .join('\n')

  it.each([...new Set(shapes.map(([path]) => path.split('/').at(-1) ?? ''))])('%s has its place in the guide', (name) => {
    expect(guide).toMatch(new RegExp(`(?:^|[\\s\`{;])${name}(?:[\\s\`="]|$)`, 'm'))
  })
})
