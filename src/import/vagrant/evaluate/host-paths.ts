import {posix} from 'node:path'

import {joined, toText, unknown, type Value} from './values.ts'

/** The directory of the Vagrantfile, and the file itself, as paths that start there. */
export const ownDirectory = '.'
export const ownFile = './Vagrantfile'

const texts = (args: readonly Value[]): readonly string[] | undefined => {
  const known = args.map((arg) => (typeof arg === 'string' ? arg : undefined))
  return known.some((one) => one === undefined) ? undefined : known.map((one) => one ?? '')
}

const normal = (path: string): string => {
  const short = posix.normalize(path)
  return path.startsWith('./') && !short.startsWith('.') ? `./${short}` : short
}

/** Functions of Ruby's File and Dir that only look at the text of a path; undefined for all others. */
export const pathFunction = (name: string, args: readonly Value[]): Value | undefined => {
  const known = texts(args)
  switch (name) {
    case 'File.join':
      return known ? normal(joinedPath(known)) : unknown
    case 'File.expand_path':
    case 'File.absolute_path':
    case 'File.realpath':
      return known ? expand(known) : unknown
    case 'File.dirname':
      return known?.[0] === undefined ? unknown : posix.dirname(known[0])
    case 'File.basename':
      return known?.[0] === undefined ? unknown : posix.basename(known[0], known[1])
    case 'Dir.home':
      return args.length === 0 ? '~' : unknown
    case 'Pathname.new':
      return toText(args[0]) ?? unknown
    default:
      return undefined
  }
}

const joinedPath = (parts: readonly string[]): string => {
  const text = joined([parts.join('/')])
  return typeof text === 'string' && text !== '' ? text : '.'
}

const expand = ([path = '', base = '.']: readonly string[]): string => {
  if (/^[/~]/.test(path)) return posix.normalize(path)
  const full = posix.join(base, path)
  return /^[./~]/.test(full) ? full : `./${full}`
}
