import {quote, quoteAll} from './quote.ts'

/**
 * Variables of a log-in that change what shells and the usual programs do: start-up files and options. A start-up file may have
 * exported them for a person; a program that vmctl runs is not to be surprised by them.
 */
const surprises = 'BASH_ENV ENV CDPATH POSIXLY_CORRECT TAR_OPTIONS GREP_OPTIONS GZIP'

/** A start-up file may have made PATH one on which nothing is found; then the usual places follow it. */
const findPrograms = 'command -v env >/dev/null 2>&1 || PATH=$PATH:/usr/local/bin:/usr/bin:/bin'

/**
 * What the shell that a log-in may have makes of a text between single quotes is the same in all of them (POSIX shells, csh, fish)
 * but for `'`, `\`, `!` and line breaks. They travel as what `printf %b` makes of them (POSIX, printf).
 */
const encode = (text: string): string =>
  text.replaceAll(/[\\'!\u0001-\u001f\u007f]/g, (character) => `\\0${character.charCodeAt(0).toString(8).padStart(3, '0')}`)

/**
 * A command line that every login shell understands, and that runs a POSIX shell command line by /bin/sh in the place of the login
 * shell, in the home directory.
 * @param mark a word that is written, as a line of its own, to both outputs before the command begins: all before it is what
 *   start-up files have said
 */
export const anyShell = (command: string, mark?: string): string => {
  if (command.includes('\0')) throw new RangeError('A shell command cannot contain a NUL character.')
  const begin = mark === undefined ? '' : 'echo "$0"; echo "$0" >&2; '
  return `exec /bin/sh -c '${begin}unset ${surprises}; ${findPrograms}; cd 2>/dev/null; eval "$(printf %b "$1")"' ${mark ?? 'vmctl'} '${encode(command)}'`
}

/** A command line of quoted words that every login shell understands. */
export const anyShellWords = (words: readonly string[]): string =>
  words.some((word) => encode(word) !== word) ? anyShell(`exec ${quoteAll(words)}`) : quoteAll(words)

/** The same POSIX shell command line in an environment that holds only who works and where programs are: for vmctl's own programs. */
export const clean = (command: string): string =>
  `exec env -i HOME="$HOME" USER="$USER" LOGNAME="$LOGNAME" SHELL="$SHELL" PATH="$PATH" sh -c ${quote(command)}`
