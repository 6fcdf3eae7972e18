import {createHash} from 'node:crypto'

import {messageOf, VmctlError} from '../model/errors.ts'

export {displayUrl} from '../model/secrets.ts'

/** @throws VmctlError `vmctl::usage::invalid`, without repeating a text that may hold a password */
export const parseImageUrl = (text: string): URL => {
  try {
    return new URL(text)
  } catch (error) {
    throw new VmctlError('vmctl::usage::invalid', `An image URL cannot be read: ${messageOf(error)}.`, {
      help: 'Give an absolute URL, such as https://example.org/disk.qcow2.',
    })
  }
}

/** Names a URL in the cache. Credentials do not count: a new password does not make another image. */
export const urlKey = (url: URL): string => {
  const plain = new URL(url)
  plain.username = ''
  plain.password = ''
  plain.hash = ''
  return createHash('sha256').update(plain.href).digest('hex')
}

/** The last path segment: what a checksum file calls the image, and what people do. For display and comparison only, never a path. */
export const fileNameOf = (url: URL): string => {
  const segment = url.pathname.split('/').findLast((part) => part !== '') ?? ''
  let name = segment
  try {
    name = decodeURIComponent(segment)
  } catch {
    // A orphan percent sign; the segment is shown as it is.
  }
  return printableName(name) || printableName(url.hostname)
}

/** A name that is safe to print: no control characters, no direction overrides, 255 characters at most. */
export const printableName = (name: string): string => name.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, '').slice(0, 255)
