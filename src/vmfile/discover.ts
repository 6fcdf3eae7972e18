import {lstatSync, type Stats, statSync} from 'node:fs'
import {dirname, join, relative, resolve} from 'node:path'

import {environment, resolvePath} from '../host/paths.ts'
import {messageOf, systemCode, VmctlError} from '../model/errors.ts'

export const defaultName = 'VMFile.kdl'

/**
 * Finds the VMFile: the one that was named, `$VMCTL_FILE`, or the nearest `VMFile.kdl` in `cwd` and the directories above it.
 * @returns the path as the user wrote it, relative to `cwd` when it is found above, or absolute when `cwd` is not the directory of
 *   this process
 * @throws VmctlError `vmctl::vmfile::not_found`, also for a directory
 */
export const discoverVmfile = (explicit: string | undefined, cwd: string, env: NodeJS.ProcessEnv = environment()): string => {
  const named = explicit || env.VMCTL_FILE
  const above = named ? {} : searchAbove(cwd)
  const given = named || (above.path === undefined ? defaultName : relative(cwd, above.path))
  const path = resolvePath(given, cwd)
  const found = lookAtNow(path)
  if (found !== 'file') {
    const source = explicit || !named ? '' : ' (named by VMCTL_FILE)'
    const message = named ? `The VMFile ${given}${source} ${found}.` : `There is no ${defaultName} in ${cwd} or above it.`
    throw new VmctlError('vmctl::vmfile::not_found', named || found === 'does not exist' ? message : `${path} ${found}.`, {
      ...(above.refused !== undefined && {
        help: `${above.refused} belongs to another user, so it is not taken from below; \`--file ${above.refused}\` does.`,
      }),
    })
  }
  return resolve(given) === path ? given : path
}

/** The `VMFile.kdl` of a directory, or the nearest above it; undefined when there is none that may be used. */
export const nearestVmfile = (directory: string): string | undefined => {
  const path = join(directory, defaultName)
  return lookAtNow(path) === 'does not exist' ? searchAbove(directory).path : path
}

/**
 * Looks for a VMFile in the directories above, unless the directory itself has one. What lies there decides which programs run, so
 * it must belong to the user or to root: in a directory like /tmp anybody can leave one.
 */
const searchAbove = (directory: string): {readonly path?: string; readonly refused?: string} => {
  if (lookAtNow(join(directory, defaultName)) !== 'does not exist') return {}
  for (let at = dirname(directory), below = directory; at !== below; below = at, at = dirname(at)) {
    const path = join(at, defaultName)
    if (lookAtNow(path) === 'file') return isTrusted(path) ? {path} : {refused: path}
  }
  return {}
}

const isTrusted = (path: string): boolean => {
  const mayBe = ({uid}: Stats): boolean => uid === 0 || uid === process.getuid?.()
  // A link of somebody else may lead to a file of our own that was not meant.
  return mayBe(lstatSync(path)) && mayBe(statSync(path))
}

const lookAtNow = (path: string): string => {
  try {
    return statSync(path).isDirectory() ? 'is a directory' : 'file'
  } catch (error) {
    return ['ENOENT', 'ENOTDIR'].includes(systemCode(error) ?? '') ? 'does not exist' : `cannot be used: ${messageOf(error)}`
  }
}
