import {ioError} from '../host/files.ts'
import {isVmctlError, systemCode, VmctlError} from '../model/errors.ts'

/** Gives a failed file operation its code: a full disk (or quota) is told as such, anything else by what was being done. */
export const storageError = (error: unknown, action: string, path: string): unknown => {
  const code = systemCode(error)
  if (isVmctlError(error) || code === undefined || !/^E[A-Z0-9]+$/.test(code)) return error
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG') {
    return new VmctlError('vmctl::image::no_space', `Cannot ${action} ${path}: no space is left on the device.`, {cause: error})
  }
  return ioError(action, path, error)
}
