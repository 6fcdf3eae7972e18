import {VmctlError} from '../model/errors.ts'
import {problemsError, type Report, startReport} from './kdl/report.ts'
import {lookAt, readAtMost} from './resolve/local-files.ts'

/** Bytes of a VMFile; the parser needs two seconds and a lot of stack for this much. */
export const sizeLimit = 2 ** 20

const start = {start: 0, end: 1}

export const refuseSize = (report: Report): void => {
  report.syntax(start, 'a VMFile has 1 MB at most', 'put long texts into files of their own, and name them')
}

/**
 * Reads the text of a VMFile. A pipe is fine (`--file <(make-vmfile)`), a directory is not.
 * @throws VmctlError `vmctl::vmfile::not_found`, `vmctl::io`, or `vmctl::vmfile::parse_failed` for what is not a text of 1 MB at most
 */
export const readSource = async (path: string, file: string): Promise<string> => {
  const {kind, reason} = await lookAt(path)
  if (kind === 'missing' && !reason) throw new VmctlError('vmctl::vmfile::not_found', `The VMFile ${file} does not exist.`)
  if (kind === 'directory') throw new VmctlError('vmctl::vmfile::not_found', `The VMFile ${file} is a directory.`)
  const content = await readAtMost(path, sizeLimit)
  if ('reason' in content) throw new VmctlError('vmctl::io', `Cannot read ${file}: ${content.reason}.`)
  const report = startReport('', file)
  if (content.isWhole) {
    try {
      return new TextDecoder('utf-8', {fatal: true, ignoreBOM: true}).decode(content.bytes)
    } catch {
      report.syntax(start, 'this is not a text in UTF-8', 'save the file in UTF-8; a disk image or an archive is not a VMFile')
    }
  } else {
    refuseSize(report)
  }
  throw problemsError(report, file)
}
