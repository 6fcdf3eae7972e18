import {anyShell as program} from './programs/index.ts'
import {quote, quoteAll} from './quote.ts'

/**
 * What the shell that a log-in may have makes of a text between single quotes is the same in all of them (POSIX shells, csh, fish)
 * but for `'`, `\`, `!` and line breaks. They travel as what `printf %b` makes of them (POSIX, printf).
 */
const encode = (text: string): string =>
  text.replaceAll(/[\\'!\u0001-\u001f\u007f]/g, (character) => `\\0${character.charCodeAt(0).toString(8).padStart(3, '0')}`)

const line = program.text.replaceAll('\n', '; ')

/**
 * A command line that every login shell understands, and that runs a POSIX shell command line by /bin/sh in the place of the login
 * shell, in the home directory.
 * @param mark a word that is written, as a line of its own, to both outputs before the command begins: all before it is what
 *   start-up files have said
 */
export const anyShell = (command: string, mark?: string): string => {
  if (command.includes('\0')) throw new RangeError('A shell command cannot contain a NUL character.')
  const begin = mark === undefined ? '' : 'echo "$0"; echo "$0" >&2; '
  return `exec /bin/sh -c '${begin}${line}' ${mark ?? 'vmctl'} '${encode(command)}'`
}

/** A command line of quoted words that every login shell understands. */
export const anyShellWords = (words: readonly string[]): string =>
  words.some((word) => encode(word) !== word) ? anyShell(`exec ${quoteAll(words)}`) : quoteAll(words)

/** The same POSIX shell command line in an environment that holds only who works and where programs are: for vmctl's own programs. */
export const clean = (command: string): string =>
  `exec env -i HOME="$HOME" USER="$USER" LOGNAME="$LOGNAME" SHELL="$SHELL" PATH="$PATH" sh -c ${quote(command)}`
