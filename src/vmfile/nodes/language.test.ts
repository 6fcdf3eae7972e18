import {describe, expect, it} from 'vitest'

import type {Fields, Shape} from '../grammar/shapes.ts'
import {startReport} from '../kdl/report.ts'
import {parseKdl} from '../kdl/syntax.ts'
import {vmfile} from './stack.ts'

/** Every shape of the language with its path: `vm/network/tap/bridge`. */
const flatten = (path: string, fields: Fields): readonly (readonly [string, Shape])[] =>
  Object.entries(fields).flatMap(([name, shape]): readonly (readonly [string, Shape])[] => [
    [`${path}${name}`, shape],
    ...(shape.shape === 'block' ? flatten(`${path}${name}/`, shape.fields) : []),
    ...(shape.shape === 'choice'
      ? Object.entries<Fields>(shape.variants).flatMap(([variant, inner]) => flatten(`${path}${name}/${variant}/`, inner))
      : []),
  ])

const shapes = flatten('', vmfile.fields)

describe('the table of the language', () => {
  it('is found', () => expect(shapes.length).toBeGreaterThan(35))

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
