import {readIfExists} from './files.ts'

/** What the first processor of this host can do, in the words of Linux; undefined where there is no /proc. */
export const cpuFlags = async (path = '/proc/cpuinfo'): Promise<ReadonlySet<string> | undefined> => {
  const flags = /^(?:flags|Features)\s*:\s*(.*)$/m.exec((await readIfExists(path)) ?? '')?.[1]
  return flags === undefined ? undefined : new Set(flags.split(' '))
}
