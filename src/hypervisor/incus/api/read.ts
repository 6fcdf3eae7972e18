import {VmctlError} from '../../../model/errors.ts'
import {incusFailures} from '../failures.ts'

/** Checks what a server has answered, no further than vmctl depends on it. `where` is the path of the value, for the message. */
export type Reader<T> = (value: unknown, where: string) => T

const unexpected = (where: string, wanted: string, value: unknown): VmctlError => {
  const kind = value === null ? 'null' : Array.isArray(value) ? 'a list' : `a value of type ${typeof value}`
  return new VmctlError(incusFailures.unexpectedAnswer, `The Incus server answered ${kind} for ${where}, where ${wanted} was expected.`)
}

export const text: Reader<string> = (value, where) => {
  if (typeof value === 'string') return value
  throw unexpected(where, 'a text', value)
}

export const number: Reader<number> = (value, where) => {
  if (typeof value === 'number') return value
  throw unexpected(where, 'a number', value)
}

export const flag: Reader<boolean> = (value, where) => {
  if (typeof value === 'boolean') return value
  throw unexpected(where, 'true or false', value)
}

export const anything: Reader<unknown> = (value) => value

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const fields: Reader<Readonly<Record<string, unknown>>> = (value, where) => {
  if (isRecord(value)) return value
  throw unexpected(where, 'an object', value)
}

/** Go writes what is empty as null, or leaves it out. */
export const optional =
  <T>(reader: Reader<T>): Reader<T | undefined> =>
  (value, where) =>
    value === undefined || value === null ? undefined : reader(value, where)

export const list =
  <T>(reader: Reader<T>): Reader<readonly T[]> =>
  (value, where) => {
    if (value === null || value === undefined) return []
    if (!Array.isArray(value)) throw unexpected(where, 'a list', value)
    return value.map((item: unknown, index) => reader(item, `${where}[${index}]`))
  }

export const dictionary =
  <T>(reader: Reader<T>): Reader<Readonly<Record<string, T>>> =>
  (value, where) =>
    value === null || value === undefined
      ? {}
      : Object.fromEntries(Object.entries(fields(value, where)).map(([key, item]) => [key, reader(item, `${where}.${key}`)]))

/** An object of which only these fields matter. */
export const shape =
  <T extends object>(readers: {readonly [Key in keyof T]: Reader<T[Key]>}): Reader<T> =>
  (value, where) => {
    const record = fields(value, where)
    return Object.fromEntries(
      Object.entries<Reader<unknown>>(readers).map(([key, reader]) => [key, reader(record[key], `${where}.${key}`)]),
    ) as T
  }
