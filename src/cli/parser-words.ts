import {stripVTControlCharacters} from 'node:util'

const either = (words: string): string =>
  words
    .split(/, */)
    .join(', ')
    .replace(/, ([^,]*)$/, ' or $1')

/** What the parser of oclif complains about, and the same in the words of vmctl. The first that fits is taken. */
const sentences: readonly (readonly [RegExp, (...found: string[]) => string])[] = [
  [/^Flag (--\S+) expects a value$/, (flag) => `${flag} needs a value.`],
  [/^Flag (--\S+) expects one of these values: (.*)$/, (flag, values) => `${flag} needs a value: ${either(values)}.`],
  [/^Flag (--\S+) can only be specified once$/, (flag) => `${flag} is given more than once.`],
  [/^(--\S+): Expected an integer but received: (.*)$/, (flag, value) => `${flag} needs a whole number, not "${value}".`],
  [
    /^(--\S+): Expected an integer greater than or equal to (\S+) but received: (.*)$/,
    (flag, least, value) => `${flag} is at least ${least}, not ${value}.`,
  ],
  [
    /^(--\S+): Expected an integer less than or equal to (\S+) but received: (.*)$/,
    (flag, most, value) => `${flag} is at most ${most}, not ${value}.`,
  ],
  [/^Expected (--[^\s=]+)=(.*) to be one of: (.*)$/, (flag, value, values) => `${flag} can be ${either(values)}, not "${value}".`],
  [/^Expected (.*) to be one of: (.*)$/, (value, values) => `"${value}" is not possible here; it can be ${either(values)}.`],
  [
    /^(--[^\s=]+)(?:=.*)? cannot also be provided when using (--\S+)$/,
    (one, other) => `${[one, other].toSorted().join(' and ')} exclude each other.`,
  ],
  [/^All of the following must be provided when using (--\S+): (.*)$/, (flag, others) => `${flag} needs ${others} too.`],
  [/^Missing required flag (\S+)$/, (flag) => `--${flag} is missing.`],
]

/** A message of oclif's parser in the words of vmctl: without its colours, its heading and its advice, each thing once. */
export const parserSentence = (message: string): string => {
  const bare = stripVTControlCharacters(message)
    .replace(/\nSee more help with --help$/, '')
    .replace(/^The following errors? occurred:\s+/, '')
    .replace(/^Parsing (--\S+)\s+/, '$1: ')
  return [...new Set(bare.split(/\s*\n\s*/).map(translated))].join(' ')
}

const translated = (line: string): string => {
  for (const [pattern, say] of sentences) {
    const found = pattern.exec(line)
    if (found) return say(...found.slice(1))
  }
  return /[.!?]$/.test(line) ? line : `${line}.`
}
