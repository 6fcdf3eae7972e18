import {byName, type Entry, entriesOf, refuseAnnotations, refuseMoreArguments, separately, takeSingle} from './entries.ts'
import type {Report, Span} from '../kdl/report.ts'
import type {
  Block,
  Choice,
  Fields,
  Kind,
  Located,
  Pairs,
  Read,
  ReadBlock,
  ReadExtension,
  ReadNamed,
  ReadRow,
  Rows,
  Shape,
} from './shapes.ts'
import type {KdlNode, Scalar, Value} from '../kdl/tree.ts'
import {hintForUnknown, type Place} from './unknown.ts'
import {describe, listOf, nearest, plain, quoted, withArticle} from '../kdl/wording.ts'

/** What the reader needs besides the node and its shape. */
export interface Scope {
  readonly report: Report
  /** Where words are reported that nobody knows, when that is another one. */
  readonly unknown?: Pick<Report, 'error'>
  /** The whole language, to say where a misplaced word belongs. */
  readonly grammar: Fields
  /** Variants that plugins bring to choices that are `extensible`. */
  readonly extensions: ReadonlySet<string>
}

/** Reads the nodes of a file by the shape of its top level. Everything that does not fit goes into the report. */
export const readDocument = <F extends Fields>(
  nodes: readonly KdlNode[],
  shape: Block<unknown, F>,
  scope: Scope,
): ReadBlock<unknown, F>['fields'] => {
  const root: KdlNode = {name: '', span: {start: 0, end: 1}, args: [], properties: [], children: nodes}
  const place = {label: '', fields: shape.fields}
  return readFields(root, place, scope)
}

// The table says what each name holds; only the callers know the table, so the type is theirs to name.
const readFields = (node: KdlNode, place: Place, scope: Scope, given: readonly Entry[] = []): any => {
  const groups = byName([...given, ...entriesOf(node, scope.report)])
  for (const [name, entries] of groups) {
    if (!Object.hasOwn(place.fields, name)) for (const entry of entries) reportUnknown(entry, place, scope)
  }
  const read = Object.entries(place.fields).map(
    ([name, shape]) => [name, readShape(name, shape, groups.get(name) ?? [], {node, place, scope})] as const,
  )
  return Object.fromEntries(read)
}

const reportUnknown = (entry: Entry, place: Place, {report, unknown = report, grammar}: Scope): void => {
  const where = place.label === '' ? '' : entry.isProperty ? ` of ${place.label}` : ` in ${place.label}`
  unknown.error(
    entry.span,
    `unknown ${entry.isProperty ? 'property' : 'node'} ${quoted(entry.name)}${where}`,
    hintForUnknown(entry.name, place, grammar),
  )
}

/** The block around a field. */
interface Around {
  readonly node: KdlNode
  readonly place: Place
  readonly scope: Scope
}

const readShape = (name: string, shape: Shape, entries: readonly Entry[], around: Around): unknown => {
  const {report} = around.scope
  switch (shape.shape) {
    case 'list':
      return readList(entries, shape.kind, around)
    case 'rows':
      return readRows(entries, shape, around)
    case 'pairs':
      return readPairs(entries, shape, around)
    case 'block':
    case 'choice': {
      const readOne = (entry: Entry): unknown =>
        shape.shape === 'block' ? readBlock(entry, shape, around) : readChoice(entry, shape, around)
      if (shape.repeatable) return entries.map(readOne).filter((read) => read !== undefined)
      const entry = takeSingle(entries, report)
      return entry && readOne(entry)
    }
    case 'field': {
      const entry = takeSingle(entries, report)
      const value = entry && readField(entry, shape.kind, around)
      if (!entry && shape.required)
        report.error(around.node.span, `${around.place.label} requires ${name}`, `add ${name} ${shape.kind.example}`)
      return value ?? (shape.default === undefined ? undefined : {...around.node.span, value: shape.default, isDefault: true})
    }
  }
}

const readValue = <T>(arg: Value, kind: Kind<T>, {report}: Scope): Located<T> | undefined => {
  if (typeof arg.value === 'number' && !isExact(arg.value)) {
    report.error(arg, 'this number is too large', 'integers go up to 9007199254740991')
    return undefined
  }
  const value = kind.read(arg.value, (message, hint) => void report.error(arg, message, hint))
  return value === undefined ? undefined : {start: arg.start, end: arg.end, value}
}

/** Beyond 2^53 the number of the file is not the number that JavaScript holds. */
const isExact = (value: number): boolean => !Number.isInteger(value) || Number.isSafeInteger(value)

/** Reports everything on a node beyond its arguments. */
const refuseFields = (entry: Entry, {place, scope}: Around): void => {
  for (const {key, span} of entry.properties) {
    const hint = Object.hasOwn(place.fields, key) ? separately(key) : undefined
    scope.report.error(span, `unknown property ${quoted(key)} of ${plain(entry.name)}`, hint)
  }
  if (entry.children) scope.report.error(entry.span, `${plain(entry.name)} has no block`, 'remove { and }')
}

const readField = <T>(entry: Entry, kind: Kind<T>, around: Around): Located<T> | undefined => {
  const {report} = around.scope
  refuseAnnotations(entry, report)
  refuseFields(entry, around)
  refuseMoreArguments(entry, 1, around.place.fields, report)
  const [arg] = entry.args
  if (arg) return readValue(arg, kind, around.scope)
  report.error(entry.span, `${plain(entry.name)} needs a value`, `write ${plain(entry.name)} ${kind.example}`)
  return undefined
}

const readList = <T>(entries: readonly Entry[], kind: Kind<T>, around: Around): readonly Located<T>[] => {
  const {report} = around.scope
  const [first] = entries
  return entries.flatMap((entry) => {
    refuseAnnotations(entry, report)
    refuseFields(entry, around)
    if (entry.isProperty !== first?.isProperty)
      report.error(entry.span, `${quoted(entry.name)} is given as a property and as a node`, 'write all values as nodes')
    if (entry.args.length === 0)
      report.error(entry.span, `${plain(entry.name)} needs a value`, `write ${plain(entry.name)} ${kind.example}`)
    return entry.args.flatMap((arg) => readValue(arg, kind, around.scope) ?? [])
  })
}

const readRows = <T>(entries: readonly Entry[], {kind, repeatable}: Rows<T>, around: Around): readonly ReadRow<T>[] => {
  const {report} = around.scope
  const single = repeatable ? undefined : takeSingle(entries, report)
  const chosen = repeatable ? entries : single ? [single] : []
  return chosen.flatMap((entry) => {
    const words = readList([entry], kind, around)
    return words.length > 0 ? [{...entry.span, words}] : []
  })
}

const readPairs = <T>(
  entries: readonly Entry[],
  {kind, isKey, keyRule, instead = {}}: Pairs<T>,
  around: Around,
): ReadonlyMap<string, Located<T>> => {
  const {report} = around.scope
  const read = new Map<string, Located<T>>()
  for (const entry of entries) {
    refuseAnnotations(entry, report)
    refuseMoreArguments(entry, 0, around.place.fields, report)
    for (const pair of entriesOf(entry, report)) {
      const value = readPair(pair, {kind, instead}, {...around, place: {label: entry.name, fields: {}}})
      if (!isKey(pair.name)) report.error(pair.span, `${quoted(pair.name)} is not a valid name`, keyRule)
      else if (read.has(pair.name)) report.error(pair.span, `${quoted(pair.name)} is given twice`, 'keep one of the two')
      else if (value) read.set(pair.name, value)
    }
  }
  return read
}

const readPair = <T>(
  pair: Entry,
  {kind, instead}: {readonly kind: Kind<T>; readonly instead: Readonly<Record<string, Kind<T>>>},
  around: Around,
): Located<T> | undefined => {
  const [property, more] = pair.properties
  const other = property && Object.hasOwn(instead, property.key) ? instead[property.key] : undefined
  if (!property || !other) return readField(pair, kind, around)
  const {report} = around.scope
  refuseAnnotations(pair, report)
  if (pair.args.length > 0 || more || pair.children) {
    report.error(pair.span, `${quoted(pair.name)} has more than one value`, `write a text, or one of ${listOf(Object.keys(instead))}`)
  }
  return property.value && readValue(property.value, other, around.scope)
}

const readBlock = (entry: Entry, shape: Block, around: Around): ReadBlock<unknown, Fields> => {
  const {report} = around.scope
  refuseAnnotations(entry, report)
  const [first] = entry.args
  const own = shape.argument ? 1 : 0
  const positional = shape.positional ?? []
  const takesRest = positional.some((name) => shape.fields[name]?.shape === 'list')
  if (!takesRest) refuseMoreArguments(entry, own + positional.length, around.place.fields, report)
  if (shape.argument?.required && !first) {
    report.error(
      entry.span,
      `${entry.name} needs ${withArticle(shape.argument.kind.type)}`,
      `write ${entry.name} ${shape.argument.kind.example}`,
    )
  }
  const argument = shape.argument && first ? readValue(first, shape.argument.kind, around.scope) : undefined
  if (shape.body === 'block' && !entry.children) {
    report.error(entry.span, `${entry.name} needs a block`, 'add { and }, with the settings between them')
  } else if (shape.body === 'fields' && !entry.children && entry.properties.length === 0) {
    const [name, example] = Object.entries(shape.fields)[0] ?? []
    report.error(
      entry.span,
      `${entry.name} needs a block or properties`,
      `write ${entry.name} { } for the defaults, or ${entry.name} ${name}=${exampleOf(example)}`,
    )
  }
  const place = {label: entry.name, fields: shape.fields}
  const given = entry.args.slice(own).flatMap((arg, index): readonly Entry[] => {
    const name = positional[Math.min(index, positional.length - 1)]
    const isList = name !== undefined && shape.fields[name]?.shape === 'list'
    return name === undefined || (index >= positional.length && !isList) ? [] : [argumentAsField(name, arg)]
  })
  const fields = readFields(entry, place, around.scope, given)
  refuseTogether(entry, shape, around.scope)
  const names = [...given, ...entriesOf(entry, report)].map(({name}) => name)
  return {...entry.span, ...(argument ? {argument} : {}), fields, given: new Set(first && own === 1 ? ['argument', ...names] : names)}
}

/** The value of a positional argument, as if it had been written by name. */
const argumentAsField = (name: string, arg: Value): Entry => ({
  name,
  span: {start: arg.start, end: arg.end},
  args: [arg],
  properties: [],
  isProperty: true,
})

const refuseTogether = (entry: Entry, {exclusive = []}: Block, {report}: Scope): void => {
  const given = entriesOf(entry, report).filter(({name}) => exclusive.includes(name))
  const [first] = given
  const other = given.find(({name}) => name !== first?.name)
  if (first && other) {
    const hint = `it has ${plain(first.name)} already; keep one of the two`
    report.error(other.span, `${entry.name} cannot have both ${plain(first.name)} and ${plain(other.name)}`, hint)
  }
}

const exampleOf = (shape: Shape | undefined): string => (shape && 'kind' in shape ? shape.kind.example : '…')

const readChoice = (entry: Entry, shape: Choice, around: Around): Read<Choice> | ReadExtension | ReadNamed<Fields> | undefined => {
  const {report, extensions} = around.scope
  refuseAnnotations(entry, report)
  refuseMoreArguments(entry, 1, around.place.fields, report)
  const [argument] = entry.args
  const type = argument ? argument.value : shape.default
  const typeSpan: Span = argument ? {start: argument.start, end: argument.end} : entry.span
  if (typeof type === 'string' && Object.hasOwn(shape.variants, type)) {
    const place = {label: `${entry.name} "${type}"`, fields: shape.variants[type] ?? {}, variants: shape.variants}
    const given = new Set([...entry.properties.map(({key}) => key), ...(entry.children ?? []).map(({name}) => name)])
    return {...entry.span, type, given, fields: readFields(entry, place, around.scope)}
  }
  if (typeof type === 'string' && shape.extensible && extensions.has(type)) {
    return {...entry.span, type: 'extension', extension: type, ...readExtension(entry, shape.common ?? {}, around)}
  }
  if (typeof type === 'string' && shape.named) {
    const {noun, fields} = shape.named
    const place = {label: `${entry.name} "${type}"`, fields, variants: shape.variants}
    if (type === '') {
      report.error(typeSpan, `the name of the ${noun} must not be empty`)
      return undefined
    }
    return {...entry.span, type: 'named', name: {...typeSpan, value: type}, fields: readFields(entry, place, around.scope)}
  }
  const types = [...Object.keys(shape.variants), ...(shape.extensible ? extensions : [])]
  if (typeof type !== 'string')
    report.error(typeSpan, `expected ${withArticle(shape.noun)}, found ${describe(type)}`, `use ${listOf(types)}`)
  else report.error(typeSpan, `unknown ${shape.noun}: ${plain(type)}`, nearest(type, types) ?? `use ${listOf(types)}`)
  return undefined
}

/**
 * The fields of a variant that only a plugin knows: every scalar and every list, under the names of the file; and those
 * that all variants have, which the plugin does not see.
 */
const readExtension = (entry: Entry, common: Fields, {scope}: Around): Pick<ReadExtension, 'settings' | 'common'> => {
  const groups = byName(entriesOf(entry, scope.report))
  const around: Around = {node: entry, place: {label: entry.name, fields: common}, scope}
  const own = [...groups].filter(([name]) => !Object.hasOwn(common, name))
  const settings = own.map(([name, entries]): [string, Scalar | readonly Scalar[]] => {
    const values = readList(entries, anything, {...around, place: {label: entry.name, fields: {}}})
    const [only] = values
    return [name, only && values.length === 1 ? only.value.scalar : values.map(({value}) => value.scalar)]
  })
  const shared = Object.entries(common).map(([name, shape]) => [name, readShape(name, shape, groups.get(name) ?? [], around)] as const)
  // The table says what each name holds, as in `readFields`.
  return {settings: Object.fromEntries(settings), common: Object.fromEntries(shared) as ReadExtension['common']}
}

/** Wrapped, because undefined and only undefined means that a value was refused. */
const anything: Kind<{readonly scalar: Scalar}> = {type: 'value', example: '"…"', read: (scalar) => ({scalar})}
