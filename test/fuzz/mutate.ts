import type {Random} from './random.ts'

export interface Mutator {
  readonly random: Random
  /** Inputs to take pieces from. */
  readonly corpus: readonly Buffer[]
  /** Words of the format. */
  readonly dictionary: readonly Buffer[]
  readonly maxBytes: number
  /** Whether inputs are JSON documents, which are then also changed value by value. */
  readonly json: boolean
}

type Edit = (input: Buffer, mutator: Mutator) => Buffer

const splice = (input: Buffer, at: number, {remove, insert}: {readonly remove: number; readonly insert: Buffer}): Buffer =>
  Buffer.concat([input.subarray(0, at), insert, input.subarray(at + remove)])

/** Numbers at which counters, lengths and offsets break. */
const edges = [
  0,
  1,
  -1,
  0x7f,
  0x80,
  0xff,
  0x100,
  0x7fff,
  0x8000,
  0xffff,
  0x1_0000,
  0x7fff_ffff,
  0x8000_0000,
  0xffff_ffff,
  2 ** 53 - 1,
  2 ** 53,
]

const numerals = [...edges.map(String), '1e309', '-0', '0.1', '1e-400', '09', '0x10', '9'.repeat(30), '18446744073709551616']

const edits: readonly Edit[] = [
  (input, {random}) => {
    const changed = Buffer.from(input)
    const at = random.below(input.length)
    changed[at] = (input[at] ?? 0) ^ (1 << random.below(8))
    return changed
  },
  (input, {random}) => {
    const changed = Buffer.from(input)
    changed[random.below(input.length)] = random.pick([0, 1, 9, 10, 13, 27, 32, 34, 39, 47, 92, 127, 128, 155, 255, random.below(256)])
    return changed
  },
  (input, {random}) => input.subarray(0, random.below(input.length + 1)),
  (input, {random}) =>
    splice(input, random.below(input.length), {remove: 1 + random.below(random.pick([2, 8, 64])), insert: Buffer.alloc(0)}),
  (input, {random}) => {
    const from = random.below(input.length)
    const piece = input.subarray(from, from + 1 + random.below(random.pick([4, 32, 512])))
    return splice(input, random.below(input.length + 1), {remove: 0, insert: piece})
  },
  (input, {random, corpus}) => {
    const other = random.pick(corpus)
    const from = random.below(other.length)
    const piece = other.subarray(from, from + 1 + random.below(random.pick([8, 64, 4096])))
    return splice(input, random.below(input.length + 1), {remove: random.oneIn(2) ? piece.length : 0, insert: piece})
  },
  (input, {random, dictionary}) => {
    const word = dictionary.length > 0 ? random.pick(dictionary) : Buffer.from([random.below(256)])
    return splice(input, random.below(input.length + 1), {remove: random.oneIn(2) ? word.length : 0, insert: word})
  },
  (input, {random}) => {
    const numbers = [...input.toString('latin1').matchAll(/\d+/g)]
    const insert = Buffer.from(random.pick(numerals))
    if (numbers.length === 0) return splice(input, random.below(input.length + 1), {remove: 0, insert})
    const {index, 0: found} = random.pick(numbers)
    return splice(input, index, {remove: found.length, insert})
  },
  (input, {random}) => {
    const width = random.pick([1, 2, 4, 8])
    if (input.length < width) return input
    const changed = Buffer.from(input)
    const value = BigInt.asUintN(width * 8, BigInt(random.pick(edges)))
    const bytes = Buffer.alloc(8)
    if (random.oneIn(2)) bytes.writeBigUInt64LE(value)
    else bytes.writeBigUInt64BE(value << BigInt(64 - width * 8))
    bytes.copy(changed, random.below(input.length - width + 1), 0, width)
    return changed
  },
  (input, {random, maxBytes}) => {
    const from = random.below(input.length)
    const piece = input.subarray(from, from + 1 + random.below(16))
    const times = Math.min(random.pick([2, 10, 100, 1000]), Math.ceil((maxBytes - input.length) / piece.length))
    return splice(input, from, {remove: 0, insert: Buffer.concat(Array.from({length: Math.max(0, times)}, () => piece))})
  },
]

/** One to five random changes of an input of the corpus. */
export const mutate = (input: Buffer, mutator: Mutator): Buffer => {
  const {random, json, maxBytes} = mutator
  let changed = json && random.oneIn(2) ? mutateJson(input, random) : input
  const isStill = changed !== input && random.oneIn(2)
  for (let left = isStill ? 0 : 1 + random.below(5); left > 0; left--) {
    if (changed.length === 0) changed = random.pick(mutator.corpus)
    changed = random.pick(edits)(changed, mutator)
  }
  return changed.subarray(0, maxBytes)
}

const oddValues: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  2 ** 53,
  -(2 ** 31),
  65_536,
  '',
  ' ',
  '..',
  '../../etc',
  '/',
  '\0',
  '\u001B[2J',
  '\uD800',
  'x'.repeat(300),
  '1',
  [],
  [null],
  [[]],
  {},
  {length: 1},
  {schema: 1},
  'constructor',
  '__proto__',
]

/** Changes, removes, repeats or exchanges values of a JSON document; the same bytes when it is none. */
const mutateJson = (input: Buffer, random: Random): Buffer => {
  let document: unknown
  try {
    document = JSON.parse(input.toString())
  } catch {
    return input
  }
  for (let left = 1 + random.below(3); left > 0; left--) {
    const places = placesIn(document)
    if (places.length === 0) return Buffer.from(JSON.stringify(random.pick(oddValues)))
    const {holder, key} = random.pick(places)
    const action = random.below(4)
    if (action === 0) delete holder[key]
    else if (action === 1) holder[key] = structuredClone(random.pick(places).value)
    else holder[key] = structuredClone(random.pick(oddValues))
  }
  return Buffer.from(JSON.stringify(document))
}

interface Place {
  readonly holder: Record<string, unknown>
  readonly key: string
  readonly value: unknown
}

const placesIn = (value: unknown, depth = 0): Place[] => {
  if (typeof value !== 'object' || value === null || depth > 8) return []
  const holder = value as Record<string, unknown>
  return Object.entries(holder).flatMap(([key, inner]) => [{holder, key, value: inner}, ...placesIn(inner, depth + 1)])
}
