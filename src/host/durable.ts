import {appendFileSync} from 'node:fs'
import {link as linkFile, open, rename as renameFile, rm} from 'node:fs/promises'

/**
 * The few functions through which vmctl changes what outlives it: renames, links, removals, syncs, started programs, commands
 * to QEMU. Each passes a numbered point before and after, at which a test can kill the process: whatever the point, one
 * more run has to put everything right. VMCTL_KILL_AT is the number of the point, counted from 1; VMCTL_ACTS a file that
 * gets a line for every point that was passed. Without them a point costs an increment.
 */
let passed = 0

const killAt = Number(process.env.VMCTL_KILL_AT ?? 0)
const actsFile = process.env.VMCTL_ACTS

/** Passes a point. */
export const pass = (what: string): void => {
  passed += 1
  if (actsFile !== undefined) appendFileSync(actsFile, `${passed} ${what}\n`)
  if (passed === killAt) process.kill(process.pid, 'SIGKILL')
}

/** Does something that outlives this process, between two points. */
export const act = async <T>(what: string, action: () => Promise<T>): Promise<T> => {
  pass(`before ${what}`)
  const result = await action()
  pass(`after ${what}`)
  return result
}

export const rename = (from: string, to: string): Promise<void> => act(`rename ${to}`, () => renameFile(from, to))

export const link = (from: string, to: string): Promise<void> => act(`link ${to}`, () => linkFile(from, to))

/** Removes a file or a tree; nothing happens when it does not exist. */
export const remove = (path: string): Promise<void> => act(`remove ${path}`, () => rm(path, {recursive: true, force: true, maxRetries: 3}))

/** Makes a rename or a removal in a directory survive a power cut. */
export const syncDirectory = (path: string): Promise<void> => syncFile(path)

/** Makes what was written to a file, by whatever process, survive a power cut. */
export const syncFile = (path: string): Promise<void> =>
  act(`sync ${path}`, async () => {
    const handle = await open(path, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  })
