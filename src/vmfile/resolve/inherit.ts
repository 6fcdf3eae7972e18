import type {Fields, Located, ReadBlock, ReadFields, Shape} from '../grammar/shapes.ts'

/**
 * Puts the defaults of a project under the settings of a VM: values, lists and repeated nodes of the VM stand in for those of
 * the defaults; blocks, and names with values, are merged field by field.
 */
export const inherit = <F extends Fields>(fields: F, own: ReadFields<F>, base: Partial<ReadFields<F>> | undefined): ReadFields<F> => {
  if (!base) return own
  const merged = Object.entries(fields).map(([name, shape]) => [name, inheritOne(shape, own[name], base[name])] as const)
  // Each value has the type that its shape gives it, as it had before.
  return {...own, ...(Object.fromEntries(merged) as ReadFields<F>)}
}

const inheritOne = (shape: Shape, own: unknown, base: unknown): unknown => {
  if (base === undefined) return own
  if (own === undefined) return base
  if (shape.shape === 'field') return (own as Located<unknown>).isDefault ? base : own
  if (shape.shape === 'pairs') return new Map([...(base as ReadonlyMap<string, unknown>), ...(own as ReadonlyMap<string, unknown>)])
  if (shape.shape === 'block' && !shape.repeatable) return inheritBlock(shape, own as AnyBlock, base as AnyBlock)
  return isEmpty(own) ? base : own
}

const isEmpty = (value: unknown): boolean => value === undefined || (Array.isArray(value) && value.length === 0)

type AnyBlock = ReadBlock<unknown, Fields>

const inheritBlock = (
  shape: {readonly fields: Fields; readonly exclusive?: readonly string[]},
  own: AnyBlock,
  base: AnyBlock,
): AnyBlock => {
  const {exclusive = []} = shape
  const hasOwn = exclusive.some((name) => !isEmpty(own.fields[name]))
  const kept = hasOwn ? Object.fromEntries(Object.entries(base.fields).filter(([name]) => !exclusive.includes(name))) : base.fields
  const argument = own.argument ?? base.argument
  return {...own, ...(argument && {argument}), fields: inherit(shape.fields, own.fields, kept), given: own.given.union(base.given)}
}
