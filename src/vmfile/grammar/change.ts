import {isDeepStrictEqual} from 'node:util'

import type {Effect} from '../../model/backend-node.ts'
import type {VmSpec} from '../../model/vm.ts'

export type {Effect} from '../../model/backend-node.ts'

/** The one of several effects that has most to wait for. */
export const strongest = (effects: readonly Effect[]): Effect =>
  (['reload', 'restart'] as const).find((effect) => effects.includes(effect)) ?? 'now'

/** One difference between the spec that a VM was made from and the one that is wanted now. */
export interface Change {
  /** Of the spec, or the name of a backend. */
  readonly field: string
  /** In words: `memory 1024 → 2048 MB`. */
  readonly text: string
  readonly effect: Effect
}

export type Compare<K extends keyof VmSpec> = (applied: VmSpec[K], wanted: VmSpec[K]) => Pick<Change, 'text' | 'effect'>

export const always =
  <K extends keyof VmSpec>(effect: Effect, text: string | ((applied: VmSpec[K], wanted: VmSpec[K]) => string)): Compare<K> =>
  (applied, wanted) => ({effect, text: typeof text === 'string' ? text : text(applied, wanted)})

export const arrow =
  (noun: string, unit = '') =>
  (applied: string | number | undefined, wanted: string | number | undefined): string =>
    `${noun} ${applied ?? 'none'} → ${wanted ?? 'none'}${unit}`

/** `env +A −B C`: names that came, that went, and that mean something else now. */
export const namesOf =
  (noun: string) =>
  (applied: Readonly<Record<string, unknown>> = {}, wanted: Readonly<Record<string, unknown>> = {}): string => {
    const came = Object.keys(wanted).filter((name) => !Object.hasOwn(applied, name))
    const went = Object.keys(applied).filter((name) => !Object.hasOwn(wanted, name))
    const others = Object.keys(wanted).filter((name) => Object.hasOwn(applied, name) && !isDeepStrictEqual(applied[name], wanted[name]))
    return [noun, ...came.map((name) => `+${name}`), ...went.map((name) => `−${name}`), ...others].join(' ')
  }

/** The same for a list of things, each of which has a name. */
export const listOf =
  <T>(noun: string, nameOf: (one: T) => string) =>
  (applied: readonly T[] | undefined = [], wanted: readonly T[] | undefined = []): string => {
    const byName = (list: readonly T[]): Record<string, T> => Object.fromEntries(list.map((one) => [nameOf(one), one]))
    const text = namesOf(noun)(byName(applied), byName(wanted))
    return text === noun ? `${noun} order` : text
  }
