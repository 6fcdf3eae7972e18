import {areEqual, type Hash, isKey, isRange, joined, rangeItems, toText, unknown, type Value} from './values.ts'

type Method<T> = (value: T, args: readonly Value[]) => Value | undefined

const textArg = (value: Value | undefined): string => (typeof value === 'string' ? value : '')

const ofTexts: Readonly<Record<string, Method<string>>> = {
  upcase: (text) => text.toUpperCase(),
  downcase: (text) => text.toLowerCase(),
  capitalize: (text) => text.slice(0, 1).toUpperCase() + text.slice(1).toLowerCase(),
  strip: (text) => text.trim(),
  chomp: (text) => text.replace(/\r?\n$/, ''),
  lstrip: (text) => text.trimStart(),
  rstrip: (text) => text.trimEnd(),
  to_sym: (text) => Symbol.for(text),
  to_i: (text) => Number(/^\s*([-+]?\d+)/.exec(text)?.[1] ?? 0),
  to_f: (text) => Number(/^\s*([-+]?\d+(?:\.\d+)?)/.exec(text)?.[1] ?? 0),
  length: (text) => Array.from(text).length,
  size: (text) => Array.from(text).length,
  'empty?': (text) => text === '',
  'start_with?': (text, args) => args.some((arg) => typeof arg === 'string' && text.startsWith(arg)),
  'end_with?': (text, args) => args.some((arg) => typeof arg === 'string' && text.endsWith(arg)),
  'include?': (text, [part]) => (typeof part === 'string' ? text.includes(part) : undefined),
  split: (text, [separator]) =>
    separator === undefined
      ? text.trim().split(/\s+/)
      : typeof separator === 'string' && separator !== ''
        ? text.split(separator)
        : undefined,
  lines: (text) => text.match(/[^\n]*\n|[^\n]+/g) ?? [],
  rjust: (text, [width, fill]) => padded(width, (length) => text.padStart(length, textArg(fill) || ' ')),
  ljust: (text, [width, fill]) => padded(width, (length) => text.padEnd(length, textArg(fill) || ' ')),
  gsub: (text, [from, to]) => (typeof from === 'string' && typeof to === 'string' ? text.replaceAll(from, () => to) : undefined),
  sub: (text, [from, to]) => (typeof from === 'string' && typeof to === 'string' ? text.replace(from, () => to) : undefined),
  tr: (text, [from, to]) =>
    typeof from === 'string' && typeof to === 'string' && from.length === 1 && to.length <= 1 ? text.replaceAll(from, () => to) : undefined,
}

const padded = (width: Value | undefined, pad: (width: number) => string): Value | undefined =>
  typeof width === 'number' && width < 1000 ? pad(width) : undefined

const ofNumbers: Readonly<Record<string, Method<number>>> = {
  to_i: (number) => Math.trunc(number),
  to_f: (number) => number,
  floor: (number) => Math.floor(number),
  ceil: (number) => Math.ceil(number),
  round: (number) => Math.round(number),
  abs: (number) => Math.abs(number),
  succ: (number) => number + 1,
  next: (number) => number + 1,
  pred: (number) => number - 1,
  'zero?': (number) => number === 0,
  'even?': (number) => number % 2 === 0,
  'odd?': (number) => Math.abs(number % 2) === 1,
}

const includes = (list: readonly Value[], wanted: Value | undefined): Value | undefined => {
  const found = list.map((one) => areEqual(one, wanted ?? null))
  return found.includes(true) ? true : found.includes(undefined) ? undefined : false
}

const ofLists: Readonly<Record<string, Method<Value[]>>> = {
  first: (list, [count]) => (typeof count === 'number' ? list.slice(0, count) : (list[0] ?? null)),
  last: (list, [count]) => (typeof count === 'number' ? list.slice(-count) : (list.at(-1) ?? null)),
  length: (list) => list.length,
  size: (list) => list.length,
  count: (list, args) => (args.length === 0 ? list.length : undefined),
  'empty?': (list) => list.length === 0,
  'any?': (list) => list.length > 0,
  'include?': (list, [wanted]) => includes(list, wanted),
  join: (list, [separator]) => {
    const text = joined(list.flatMap((one, index) => (index === 0 ? [toText(one)] : [textArg(separator), toText(one)])))
    return text
  },
  reverse: (list) => list.toReversed(),
  to_a: (list) => list,
  each: (list) => list,
  uniq: (list) => (list.every(isKey) ? [...new Set(list)] : undefined),
  compact: (list) => list.filter((one) => one !== null),
  flatten: (list) => list.flat(),
  sort: (list) => (list.every((one) => typeof one === 'string') ? list.toSorted() : undefined),
  index: (list, [wanted]) => {
    const at = list.findIndex((one) => areEqual(one, wanted ?? null) === true)
    return at < 0 ? null : at
  },
  push: (list, args) => {
    list.push(...args)
    return list
  },
  append: (list, args) => {
    list.push(...args)
    return list
  },
}

const ofHashes: Readonly<Record<string, Method<Hash>>> = {
  keys: (hash) => [...hash.keys()],
  values: (hash) => [...hash.values()],
  length: (hash) => hash.size,
  size: (hash) => hash.size,
  'empty?': (hash) => hash.size === 0,
  'key?': (hash, [key]) => hasKey(hash, key),
  'has_key?': (hash, [key]) => hasKey(hash, key),
  'include?': (hash, [key]) => hasKey(hash, key),
  fetch: (hash, [key, other]) => (key !== undefined && isKey(key) && hash.has(key) ? hash.get(key) : other),
  dig: (hash, [key, ...more]) => {
    const found = lookUp(hash, key)
    return more.length === 0 || found === null ? found : callMethod(found, 'dig', more)
  },
  merge: (hash, [other]) => (other instanceof Map ? new Map([...hash, ...other]) : undefined),
  to_h: (hash) => hash,
  each: (hash) => hash,
  each_pair: (hash) => hash,
}

const ofNil: Readonly<Record<string, Method<null>>> = {to_a: () => [], to_i: () => 0}

const hasKey = (hash: Hash, key: Value | undefined): Value => (key !== undefined && isKey(key) ? hash.has(key) : unknown)

/** `list[1]`, `hash[:a]`, `"text"[0]`; nil when there is nothing. */
export const lookUp = (holder: Value, key: Value | undefined): Value => {
  if (key === undefined) return unknown
  if (holder instanceof Map) return isKey(key) ? (holder.get(key) ?? null) : unknown
  if (Array.isArray(holder)) return typeof key === 'number' ? (holder.at(key) ?? null) : unknown
  if (typeof holder === 'string' && typeof key === 'number') return Array.from(holder).at(key) ?? null
  return unknown
}

/** Methods that give back what they are called on. */
const same: ReadonlySet<string> = new Set(['freeze', 'dup', 'clone', 'itself', 'to_str'])

/** A method that looks only at its values; unknown when it is none of those that are known. */
export const callMethod = (receiver: Value, name: string, args: readonly Value[]): Value => {
  if (isRange(receiver)) return callMethod(rangeItems(receiver) ?? unknown, name, args)
  if (isKey(receiver) && same.has(name)) return receiver
  if (isKey(receiver) && name === 'to_s') return toText(receiver) ?? unknown
  if (name === 'nil?') return isKey(receiver) ? receiver === null : unknown
  return methodOf(receiver, name)?.(args) ?? unknown
}

const own = <T>(
  methods: Readonly<Record<string, Method<T>>>,
  name: string,
  value: T,
): ((args: readonly Value[]) => Value | undefined) | undefined =>
  Object.hasOwn(methods, name) ? (args) => methods[name]?.(value, args) : undefined

const methodOf = (receiver: Value, name: string): ((args: readonly Value[]) => Value | undefined) | undefined => {
  if (typeof receiver === 'string') return own(ofTexts, name, receiver)
  if (typeof receiver === 'number') return own(ofNumbers, name, receiver)
  if (typeof receiver === 'symbol') return own(ofTexts, name, receiver.description ?? '')
  if (receiver instanceof Map) return same.has(name) ? () => new Map(receiver) : own(ofHashes, name, receiver)
  if (Array.isArray(receiver)) return same.has(name) ? () => [...receiver] : own(ofLists, name, receiver)
  return receiver === null ? own(ofNil, name, receiver) : undefined
}
