import {existsSync} from 'node:fs'

import {VmctlError} from '../model/errors.ts'

/** What people mean by `-f` who know other tools. */
const meant: Readonly<Record<string, string>> = {
  destroy: 'A VM that runs is ended too; leave -f out.',
  stop: '`vmctl stop VM --timeout 0` forces a VM off.',
  restart: '`vmctl restart VM --timeout 0` forces a VM off first.',
  down: 'A guest that does not power off in time is forced to; leave -f out.',
}

/**
 * `-f` names the VMFile, where other tools mean "force": a word behind it that can be no VMFile is taken for a VM, and nothing is done.
 * @param words of the command
 */
export const misreadFile = (argv: readonly string[], words: string): VmctlError | undefined => {
  const own = argv.includes('--') ? argv.slice(0, argv.indexOf('--')) : argv
  const at = own.indexOf('-f')
  const value = own[at + 1]
  if (at === -1 || (value !== undefined && canBeFile(value))) return undefined
  const help = `${meant[words] ?? 'Leave -f out, or name the VMFile behind it.'} \`--file PATH\` names the VMFile in full.`
  return value === undefined || value.startsWith('-')
    ? new VmctlError('vmctl::usage::invalid', `-f is --file in \`vmctl ${words}\`, and needs the path of a VMFile.`, {help})
    : new VmctlError('vmctl::usage::invalid', `-f is --file in \`vmctl ${words}\`; there is no VMFile ${JSON.stringify(value)}.`, {help})
}

const canBeFile = (value: string): boolean => !value.startsWith('-') && (/[./]/.test(value) || existsSync(value))
