import {closeSync, openSync, readdirSync, readSync} from 'node:fs'
import {join} from 'node:path'

import {asTyped} from '../model/quote.ts'
import {defaultName} from '../vmfile/index.ts'

/** A file that somebody who looks for a VMFile may have meant. */
interface Neighbour {
  readonly name: string
  /** Whether it is a VMFile but for its name, whether `vmctl import` reads it, or neither. */
  readonly use: 'rename' | 'import' | 'other'
  /** What to do about it. */
  readonly advice: string
}

const imported = (name: string): string => `\`vmctl import ${asTyped(name)} --output VMFile.kdl\` makes a VMFile of ${name}.`

const known: readonly (readonly [RegExp, Neighbour['use'], (name: string) => string])[] = [
  [/^vmfile(?:\.kdl)?$/i, 'rename', (name) => `A VMFile is called VMFile.kdl, in this spelling: \`mv ${asTyped(name)} VMFile.kdl\`.`],
  [/^(?:Vagrantfile|holos\.ya?ml|qemu-compose\.ya?ml)$/i, 'import', imported],
  [
    /^(?:docker-)?compose\.ya?ml$/i,
    'other',
    (name) =>
      `${name} is of Docker Compose: its images are containers, which no VM can start from. \`vmctl init\` begins a VMFile for VMs in their place.`,
  ],
]

/** The file that was probably meant in a directory without a VMFile; undefined when there is none, or nobody may look. */
export const neighbourOf = (directory: string): Neighbour | undefined => {
  const names = listed(directory)
  for (const [pattern, use, advise] of known) {
    const name = names.find((one) => pattern.test(one))
    if (name !== undefined) return {name, use, advice: advise(name)}
  }
  const domain = names.find((name) => name.endsWith('.xml') && isDomain(join(directory, name)))
  return domain === undefined ? undefined : {name: domain, use: 'import', advice: imported(domain)}
}

const listed = (directory: string): readonly string[] => {
  try {
    const entries = readdirSync(directory, {withFileTypes: true})
    if (entries.some(({name}) => name === defaultName)) return []
    return entries
      .filter((entry) => entry.isFile())
      .map(({name}) => name)
      .toSorted()
  } catch {
    return []
  }
}

/** Whether a file begins like the XML of a libvirt domain. */
const isDomain = (path: string): boolean => {
  const start = Buffer.alloc(4096)
  try {
    const file = openSync(path, 'r')
    try {
      return /<domain\b/.test(start.toString('utf8', 0, readSync(file, start)))
    } finally {
      closeSync(file)
    }
  } catch {
    return false
  }
}
