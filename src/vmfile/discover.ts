import {statSync} from 'node:fs'
import {resolve} from 'node:path'

import {environment, resolvePath} from '../host/paths.ts'
import {messageOf, systemCode, VmctlError} from '../model/errors.ts'

export const defaultName = 'VMFile.kdl'

/**
 * Finds the VMFile: the one that was named, `$VMCTL_FILE`, or `VMFile.kdl` in `cwd`. Parent directories are not searched.
 * @returns the path as the user wrote it, or an absolute one when `cwd` is not the directory of this process
 * @throws VmctlError `vmctl::vmfile::not_found`, also for a directory
 */
export const discoverVmfile = (explicit: string | undefined, cwd: string, env: NodeJS.ProcessEnv = environment()): string => {
  const named = explicit || env.VMCTL_FILE
  const given = named || defaultName
  const path = resolvePath(given, cwd)
  const found = lookAtNow(path)
  if (found !== 'file') {
    const source = explicit || !named ? '' : ' (named by VMCTL_FILE)'
    const message = named ? `The VMFile ${given}${source} ${found}.` : `There is no ${defaultName} in ${cwd}.`
    throw new VmctlError('vmctl::vmfile::not_found', named || found === 'does not exist' ? message : `${path} ${found}.`)
  }
  return resolve(given) === path ? given : path
}

const lookAtNow = (path: string): string => {
  try {
    return statSync(path).isDirectory() ? 'is a directory' : 'file'
  } catch (error) {
    return ['ENOENT', 'ENOTDIR'].includes(systemCode(error) ?? '') ? 'does not exist' : `cannot be used: ${messageOf(error)}`
  }
}
