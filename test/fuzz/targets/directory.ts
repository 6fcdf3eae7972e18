import {existsSync, mkdtempSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

/** A temporary directory for a target, in memory where there is some. */
export const scratchDirectory = (): {readonly path: string; remove(): void} => {
  const path = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'vmctl-fuzz-'))
  return {path, remove: () => rmSync(path, {recursive: true, force: true})}
}
