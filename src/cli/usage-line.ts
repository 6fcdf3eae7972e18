import type {Command} from '@oclif/core/command'

import {spaced} from './command-line.ts'

type Flag = Command.Flag.Cached

/** `vmctl ssh [NAME] [-- COMMAND…] [FLAGS]` */
export const usageOf = ({id, args, flags}: Command.Loadable): string => {
  const shown = Object.values(flags).filter(({hidden, helpGroup}) => !hidden && helpGroup !== 'GLOBAL')
  return [
    `vmctl ${spaced(id)}`,
    ...Object.values(args)
      .filter(({hidden}) => !hidden)
      .map(({name, required, multiple}) => {
        const word = `${name.toUpperCase()}${multiple ? '…' : ''}`
        return required ? word : `[${word}]`
      }),
    ...(rest[id] ?? []),
    ...shown.filter(({required}) => required).map(synopsisOfFlag),
    ...(shown.length > 0 ? ['[FLAGS]'] : []),
  ].join(' ')
}

/** What stands behind the arguments and is for the guest. */
const rest: Readonly<Record<string, readonly string[]>> = {
  ssh: ['[-- COMMAND…]'],
  exec: ['[--] [PROGRAM [ARGUMENT…]]'],
  run: ['[--] [PROGRAM [ARGUMENT…]]'],
}

/** `-f, --file PATH` */
export const synopsisOfFlag = (flag: Flag): string => {
  const short = flag.char === undefined ? '' : `-${flag.char}, `
  const value = flag.type === 'option' ? ` ${String(flag.helpValue ?? flag.name.toUpperCase())}` : ''
  return `${short}--${flag.name}${value}`
}

/** oclif's own text for --json says less than ours. */
export const summaryOfFlag = (flag: Flag): string =>
  flag.name === 'json' ? 'Print the result as JSON on standard output, and nothing else there.' : (flag.summary ?? flag.description ?? '')

/** What else there is to say of a flag, a sentence each. */
export const factsOfFlag = (flag: Flag): string[] => {
  const {options, default: value} = flag.type === 'option' ? flag : {}
  return [
    flag.required ? 'Required.' : '',
    options ? `One of ${listed(options)}.` : '',
    value === undefined ? '' : `Default: \`${String(value)}\`.`,
    flag.env === undefined ? '' : `Also \`$${flag.env}\`.`,
    flag.exclusive ? `Not with ${listed(flag.exclusive.map((other) => `--${other}`))}.` : '',
  ].filter((fact) => fact !== '')
}

const listed = (words: readonly string[]): string => words.map((word) => `\`${word}\``).join(', ')
