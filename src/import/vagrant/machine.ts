import type {KdlNode} from '../kdl.ts'
import type {Warnings} from '../warnings.ts'
import {isUnknown, type Setting, toText, type Value} from './evaluate/values.ts'
import type {Subnet} from '../../model/ipv4.ts'

/** What is known of one machine while its settings are read. */
export interface Machine {
  readonly name: string
  readonly shared: Shared
  box: string | undefined
  hostname: string | undefined
  user: string
  disk: KdlNode | undefined
  autostart: boolean
  /** Other plain nodes, by name. */
  readonly nodes: Map<string, KdlNode>
  /** Seconds that logging in may take. */
  bootTimeout: number | undefined
  /** By provider. */
  readonly memory: Map<string, Given>
  readonly vcpus: Map<string, Given>
  readonly ports: Port[]
  /** By the place in the guest. */
  readonly folders: Map<string, Folder>
  readonly networks: KdlNode[]
  readonly volumes: Volume[]
  readonly steps: Step[]
}

export interface Given {
  readonly value: string | number
  readonly line: number
}

export interface Port {
  readonly id: string
  readonly guest: number
  readonly host: number | undefined
  readonly protocol: string | undefined
  readonly bind: string | undefined
  /** Whether another port may be taken when it is not free. */
  readonly isFlexible: boolean
  readonly line: number
}

export interface Folder {
  readonly source: string
  readonly options: ReadonlyMap<string, Value>
  readonly line: number
}

export interface Volume {
  readonly name: string
  readonly size: string
}

export interface Step {
  /** By which a machine changes a step that all of them have. */
  readonly id: string | undefined
  readonly type: string
  readonly fields: ReadonlyMap<string, Value>
  readonly line: number
}

/** The private networks of a file: one for each subnet, and for each name that the file gives one. */
export interface Networks {
  readonly all: Map<string, Network>
}

export interface Network {
  readonly name: string
  subnet: Subnet | undefined
}

/** What the machines of a file have in common. */
export interface Shared {
  readonly warnings: Warnings
  readonly networks: Networks
  readonly leftOut: LeftOut
}

/** Settings without a counterpart, which are named together: one warning for each group. */
export interface LeftOut {
  add(group: string, name: string, line: number): void
  flush(): void
}

export const collectLeftOut = (warnings: Warnings): LeftOut => {
  const groups = new Map<string, {names: Set<string>; lines: Set<number>}>()
  return {
    add(group, name, line) {
      const found = groups.get(group) ?? {names: new Set(), lines: new Set()}
      groups.set(group, found)
      found.names.add(name)
      found.lines.add(line)
    },
    flush() {
      for (const [group, {names, lines}] of groups) {
        const message = `${group}: ${[...names].join(', ')}`
        for (const line of lines) warnings.atLine(line, message)
      }
    },
  }
}

export const machineOf = (name: string, shared: Shared): Machine => ({
  name,
  shared,
  box: undefined,
  hostname: undefined,
  user: 'vagrant',
  disk: undefined,
  autostart: true,
  nodes: new Map(),
  bootTimeout: undefined,
  memory: new Map(),
  vcpus: new Map(),
  ports: [],
  folders: new Map(),
  networks: [],
  volumes: [],
  steps: [],
})

export const notKnown = 'the value is made when the file runs, or is not understood: write it into the VMFile yourself'

/** A text or number of a setting; a value that is not known is left out with a warning. */
export const textOf = (
  {warnings}: Shared,
  value: Value | undefined,
  {path, line}: {readonly path: string; readonly line: number},
): string | undefined => {
  if (value === null || value === undefined) return undefined
  const text = typeof value === 'boolean' ? undefined : toText(value)
  if (text === undefined) warnings.atLine(line, `\`${path}\` is left out: ${notKnown}`)
  return text
}

/** A whole number that is not negative, written as one or in quotes. */
export const numberOf = (
  shared: Shared,
  value: Value | undefined,
  place: {readonly path: string; readonly line: number},
): number | undefined => {
  const text = textOf(shared, value, place)
  if (text === undefined) return undefined
  if (/^\d{1,9}$/.test(text)) return Number(text)
  shared.warnings.atLine(place.line, `\`${place.path}\` is left out: ${JSON.stringify(text)} is no whole number`)
  return undefined
}

/** Whether an option is on; undefined when that is not known. */
export const flagOf = (value: Value | undefined): boolean | undefined => {
  if (value === undefined) return false
  return isUnknown(value) ? undefined : value === true || value === 'true'
}

/** The options of a setting and what its block assigns, as one. */
export const fieldsOf = ({options, children}: Setting): Map<string, Value> => {
  const fields = new Map(options)
  for (const {path, args, options: pairs} of children) {
    const [value = pairs.size > 0 ? new Map(pairs) : null] = args
    fields.set(path, value)
  }
  return fields
}

/** `/home/vagrant`. */
export const homeOf = (user: string): string => (user === 'root' ? '/root' : `/home/${user}`)
