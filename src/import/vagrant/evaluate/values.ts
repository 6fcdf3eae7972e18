/** What Ruby code comes to, as far as it can be known without running it. Symbols of Ruby are symbols here. */
export type Value = Key | Value[] | Hash | Range | Target | Constant | Unknown

export type Key = string | number | boolean | symbol | null

export type Hash = Map<Key, Value>

export interface Range {
  readonly is: 'range'
  readonly from: Value
  readonly to: Value
  /** Whether the end is not part of it. */
  readonly isOpen: boolean
}

/** The name of a class or module: `File`, `Vagrant`. */
export interface Constant {
  readonly is: 'constant'
  readonly name: string
}

/** Something of Vagrant that settings are made on: `config`, `config.vm`, the `vb` of a provider's block. */
export interface Target {
  readonly is: 'target'
  readonly path: string
  readonly settings: Setting[]
}

/** One thing that the file sets: `config.vm.box = "a"` is the path `vm.box` with one argument. */
export interface Setting {
  readonly path: string
  readonly line: number
  readonly args: readonly Value[]
  /** The pairs behind the arguments. */
  readonly options: ReadonlyMap<string, Value>
  /** What its block sets. */
  readonly children: readonly Setting[]
}

/** What depends on something that is not in the file. */
export interface Unknown {
  readonly is: 'unknown'
}

export const unknown: Unknown = {is: 'unknown'}

const kindOf = (value: Value): string | undefined => (typeof value === 'object' && value !== null && 'is' in value ? value.is : undefined)

export const isUnknown = (value: Value | undefined): value is Unknown => value !== undefined && kindOf(value) === 'unknown'
export const isTarget = (value: Value | undefined): value is Target => value !== undefined && kindOf(value) === 'target'
export const isConstant = (value: Value | undefined): value is Constant => value !== undefined && kindOf(value) === 'constant'
export const isRange = (value: Value | undefined): value is Range => value !== undefined && kindOf(value) === 'range'
export const isKey = (value: Value): value is Key => value === null || ['string', 'number', 'boolean', 'symbol'].includes(typeof value)

/** Longest text that is put together from others. */
const mostCharacters = 2 ** 20

/** A value in a text (`to_s`); undefined when it is not known, or has no text that anybody would want there. */
export const toText = (value: Value | undefined): string | undefined => {
  if (value === undefined || !isKey(value)) return undefined
  if (value === null) return ''
  return typeof value === 'symbol' ? (value.description ?? '') : String(value)
}

export const joined = (texts: readonly (string | undefined)[]): Value => {
  if (texts.some((text) => text === undefined)) return unknown
  const text = texts.join('')
  return text.length > mostCharacters ? unknown : text
}

/** Only nil and false are false; undefined when it is not known. */
export const truth = (value: Value): boolean | undefined =>
  isUnknown(value) || isTarget(value) ? undefined : value !== null && value !== false

/** Whether two values are equal; undefined when that is not known. */
export const areEqual = (left: Value, right: Value): boolean | undefined => {
  if (isKey(left) && isKey(right)) return left === right
  if (Array.isArray(left) && Array.isArray(right)) {
    const each = left.map((one, index) => areEqual(one, right[index] ?? null))
    if (left.length !== right.length) return false
    return each.includes(false) ? false : each.includes(undefined) ? undefined : true
  }
  return undefined
}

const mostItems = 1000

/** The values of a range, at most 1000. */
export const rangeItems = ({from, to, isOpen}: Range): Value[] | undefined => {
  if (typeof from === 'number' && typeof to === 'number') {
    const count = Math.floor(to) - from + (isOpen && Number.isInteger(to) ? 0 : 1)
    return count > mostItems || !Number.isInteger(from) ? undefined : Array.from({length: Math.max(0, count)}, (_, index) => from + index)
  }
  const isLetters = typeof from === 'string' && typeof to === 'string' && /^[a-z]$/i.test(from) && /^[a-z]$/i.test(to)
  if (!isLetters) return undefined
  const [first, last] = [from.charCodeAt(0), to.charCodeAt(0) - (isOpen ? 1 : 0)]
  return Array.from({length: Math.max(0, last - first + 1)}, (_, index) => String.fromCodePoint(first + index))
}

/** What a loop over a value goes through: for each round what its block gets. */
export const itemsOf = (value: Value): Value[] | undefined => {
  if (isRange(value)) return rangeItems(value)
  if (Array.isArray(value)) return value.slice(0, mostItems + 1)
  return value instanceof Map ? [...value].map(([key, one]) => [key, one]) : undefined
}

/** What was changed in a way that is not known holds nothing that is known. */
export const spoil = (holder: Value[] | Hash): void => {
  if (Array.isArray(holder)) holder.splice(0, holder.length, ...holder.map(() => unknown))
  else for (const key of holder.keys()) holder.set(key, unknown)
}
