import {ioError} from '../host/files.ts'
import {isVmctlError, systemCode, VmctlError} from '../model/errors.ts'

/** Gives a failed file operation its code: a full disk (or quota) is told as such, anything else by what was being done. */
export const storageError = (error: unknown, action: string, path: string): unknown => {
  // Some helpers of `host` have named the operation already, but not the one kind of failure that the user can mend.
  const isNamed = isVmctlError(error)
  const code = systemCode(isNamed ? error.cause : error)
  if (code === undefined || !/^E[A-Z0-9]+$/.test(code)) return error
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG') {
    return new VmctlError('vmctl::image::no_space', `Cannot ${action} ${path}: no space is left on the device.`, {cause: error})
  }
  return isNamed ? error : ioError(action, path, error)
}

export const tooLarge = (freeBytes: number): VmctlError =>
  new VmctlError('vmctl::image::no_space', `The unpacked image needs more than the ${freeBytes} bytes that are free.`)
