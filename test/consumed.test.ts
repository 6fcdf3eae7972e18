import {globSync, readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'

import {expect, it} from 'vitest'

const source = join(import.meta.dirname, '../src')

/** The types of `model/`, and of what backends have of their own in a spec, by name, as they are written. */
const types = new Map(
  globSync(['model/*.ts', 'hypervisor/*/settings.ts'], {cwd: source})
    .filter((file) => !file.endsWith('.test.ts'))
    .flatMap((file) => readFileSync(join(source, file), 'utf8').split(/\n(?=\/\*\*|export )/))
    .flatMap((text) => {
      const name = /^export (?:interface|type) (\w+)/m.exec(text)?.[1]
      return name === undefined ? [] : [[name, text.replaceAll(/\/\*\*[^]*?\*\/|\/\/.*/g, '')] as const]
    }),
)

/** Every field that a spec can have, with the words by which code gets to what holds it: `['display', ['qemu', 'QemuConfig']]`. */
const fieldsOf = (type: string, ways: readonly string[], seen: ReadonlySet<string>): readonly (readonly [string, readonly string[]])[] => {
  const text = seen.has(type) ? '' : (types.get(type) ?? '')
  return [...text.matchAll(/readonly (\w+)\??: ([^\n}]*)/g)].flatMap(
    ([, name = '', is = '']): readonly (readonly [string, readonly string[]])[] => {
      const inner = (is.match(/\b[A-Z]\w+/g) ?? []).filter((word) => types.has(word))
      return [[name, ways], ...inner.flatMap((word) => fieldsOf(word, [name, word], new Set([...seen, type])))]
    },
  )
}

const fields = new Map(
  [...fieldsOf('VmSpec', ['spec', 'VmSpec'], new Set()), ...fieldsOf('QemuConfig', ['qemu', 'QemuConfig'], new Set())].map(
    ([name, ways]) => [`${ways.at(-1)}.${name}`, {name, ways}],
  ),
)

/** Not those who make specs, compare them or show them, nor the types themselves. */
const idle = /^(?:cli|commands|import|vmfile|engine\/(?:manage|show))\/|^model\/vm\.ts$|\/settings\.ts$/

/** Whoever acts on a spec: backends, the seed, networks, volumes, provisioning, the engine. */
const actors = readdirSync(source, {recursive: true, encoding: 'utf8'})
  .filter((path) => path.endsWith('.ts') && !path.endsWith('.test.ts') && !idle.test(path))
  .map((path) => readFileSync(join(source, path), 'utf8').replaceAll(/^\s*(?:\/\/|\/?\*).*$/gm, ''))

/** What is kept for the user, or to notice that it has changed. */
const inert = new Set(['VmSpec.labels', 'HashedFile.sha256'])

/** `.name`, or `name` taken from an object. */
const reads = (text: string, name: string): boolean => new RegExp(String.raw`\.${name}\b|[{,]\s*${name}\s*(?:[,}=]|:\s*[\w{[])`).test(text)

/** Whether a text speaks of a type or a field: `CloudInitBlock` is a part of `CloudInitConfig`. */
const names = (text: string, way: string): boolean => new RegExp(String.raw`\b${way.replace(/(?:Config|Spec)$/, '')}`, 'i').test(text)

it('the fields of a spec are found', () => expect(fields.size).toBeGreaterThan(90))

it.each([...fields.keys()].filter((key) => !inert.has(key)))('somebody acts on %s', (key) => {
  const {name, ways} = fields.get(key) ?? {name: key, ways: []}
  expect(actors.some((text) => reads(text, name) && ways.some((way) => names(text, way)))).toBe(true)
})
