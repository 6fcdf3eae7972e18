import {createHash} from 'node:crypto'

import {setup as program} from '../programs/index.ts'
import {environmentSection} from './environment.ts'
import {type HostEntry, hostsSection} from './hosts.ts'
import {type InterfaceAddress, interfacesSection} from './interfaces.ts'
import {type GuestMount, mountsSection} from './mounts.ts'

/** What a guest gets from its stack. Every part of it may be empty. */
export interface GuestSetup {
  readonly interfaces: readonly InterfaceAddress[]
  readonly hosts: readonly HostEntry[]
  readonly environment: Readonly<Record<string, string>>
  /** In the order in which they are mounted. */
  readonly mounts: readonly GuestMount[]
}

const sections = {
  interfaces: interfacesSection,
  hosts: hostsSection,
  environment: environmentSection,
  mounts: mountsSection,
} as const

type Section = keyof typeof sections

const sectionNames = Object.keys(sections) as readonly Section[]

/** What each part is called when a change of it is told. */
const titles: Readonly<Record<Section, string>> = {
  interfaces: 'addresses on networks',
  hosts: 'names of the stack',
  environment: 'env',
  mounts: 'volumes and shares',
}

export const emptySetup: GuestSetup = {interfaces: [], hosts: [], environment: {}, mounts: []}

/**
 * The parts of a setup that hold something, hashed (32 hex digits), by title: for the journal, which knows what a guest has.
 * Values may be secret, so only their hashes are kept.
 */
export const setupHashes = (setup: GuestSetup): Readonly<Record<string, string>> =>
  Object.fromEntries(
    sectionNames.flatMap((name) => {
      const part = setup[name]
      const isEmpty = Array.isArray(part) ? part.length === 0 : Object.keys(part).length === 0
      return isEmpty ? [] : [[titles[name], createHash('sha256').update(JSON.stringify(part)).digest('hex').slice(0, 32)]]
    }),
  )

/**
 * A POSIX shell program that brings a guest to the setup, as root. It may be run at any time and as often as one likes, and takes
 * back what an earlier setup had and this one has not. Each problem is a line on stderr, and the status is 1 then. What is
 * no problem but should be known is a line too (`setupNotes`).
 *
 * The seed runs it early in the first boot with the argument `boot`, before packages are installed on what it mounts. The seed
 * cannot change later, so at other boots it steps back for the one that comes over SSH.
 */
export const setupScript = (setup: GuestSetup): string =>
  [program.text, ...sectionNames.map((name) => (sections[name] as (part: unknown) => string)(setup[name])), 'finish'].join('\n')

/** What a setup that succeeded wants to be known, from what it wrote on stderr. */
export const setupNotes = (stderr: string): readonly string[] =>
  [...stderr.matchAll(/^vmctl-setup: note: (.+)$/gm)].map(([, text = '']) => text)
