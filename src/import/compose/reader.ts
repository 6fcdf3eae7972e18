import {type KdlNode, node} from '../kdl.ts'
import type {Warnings} from '../warnings.ts'

export type Fields = Readonly<Record<string, unknown>>

/** What is read from one place of the file; what is still in `rest` at the end has no meaning here. */
export interface Reader {
  readonly place: string
  readonly rest: Map<string, unknown>
  readonly warnings: Warnings
}

export const fieldsOf = (value: unknown): Fields => (typeof value === 'object' && value !== null && !Array.isArray(value) ? {...value} : {})

export const listOf = (value: unknown): readonly unknown[] =>
  Array.isArray(value) ? value : value === undefined || value === null ? [] : [value]

export const textOf = (value: unknown): string | undefined =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined

/** A reader of the fields of a value; one that has none is named. */
export const readerOf = (place: string, value: unknown, warnings: Warnings): Reader => {
  const isFields = value === undefined || value === null || (typeof value === 'object' && !Array.isArray(value))
  if (!isFields) warnings.about(place, 'this is left out: it should be names with values')
  return {place, rest: new Map(Object.entries(fieldsOf(value))), warnings}
}

export const take = ({rest}: Reader, key: string): unknown => {
  const value = rest.get(key)
  rest.delete(key)
  return value ?? undefined
}

/** What to do instead of settings that vmctl does not have. */
const advice: Readonly<Record<string, string>> = {
  restart: '`vmctl install` brings VMs up at boot',
  command: 'start a service of the guest by `provision "shell"`',
  entrypoint: 'start a service of the guest by `provision "shell"`',
  networks: 'declare a `network`, and name it in the vm',
  password: 'vmctl logs in by a key that it makes; `cloud-init { password "…"; }` sets one for the console',
  extends: 'write `project { defaults { … } }`',
}

export const leftOver = ({place, rest, warnings}: Reader): void => {
  for (const key of rest.keys()) {
    const message = `${key} is left out: ${advice[key] ?? 'vmctl has nothing like it'}`
    if (place === '') warnings.about('the file', message)
    else warnings.about(place, message)
  }
}

/** A node for a field with one value; nothing when it is absent. */
export const simple = (reader: Reader, key: string, name = key.replaceAll('_', '-')): KdlNode | undefined => {
  const value = take(reader, key)
  if (value === undefined) return undefined
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return node(name, value)
  reader.warnings.about(reader.place, `${key} is left out: it should be a single value`)
  return undefined
}

/** The same for a whole number, also in quotes. */
export const whole = (reader: Reader, key: string, name = key): KdlNode | undefined => {
  const text = textOf(take(reader, key))
  if (text === undefined) return undefined
  if (/^\d{1,9}$/.test(text)) return node(name, Number(text))
  reader.warnings.about(reader.place, `${key} ${JSON.stringify(text)} is left out: it is no whole number`)
  return undefined
}

/** Whether a field is on; anything but a boolean is named. */
export const flag = (reader: Reader, key: string): boolean | undefined => {
  const value = take(reader, key)
  if (value === undefined || typeof value === 'boolean') return value
  if (value === 'yes' || value === 'true' || value === 'on') return true
  if (value === 'no' || value === 'false' || value === 'off') return false
  reader.warnings.about(reader.place, `${key} is left out: it is neither true nor false`)
  return undefined
}
