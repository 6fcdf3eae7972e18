import {createHash} from 'node:crypto'

import type {Architecture} from '../model/catalogue.ts'
import {messageOf, VmctlError} from '../model/errors.ts'
import {type OciReference, parseOciReference} from '../model/oci-reference.ts'

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

/**
 * Reads a reference that may come from the command line.
 * @throws VmctlError `vmctl::usage::invalid`
 */
export const readOciReference = (source: string): OciReference => {
  const reference = parseOciReference(source)
  if (!('message' in reference)) return reference
  throw new VmctlError('vmctl::usage::invalid', `The address of an image in a registry cannot be used: ${reference.message}.`, {
    help: `${reference.hint.slice(0, 1).toUpperCase()}${reference.hint.slice(1)}.`,
  })
}

/**
 * Names a URL in the cache. Credentials do not count: a new password does not make another image. One address in a registry may be
 * that of an image for each processor.
 */
export const urlKey = (url: URL, architecture: Architecture = 'x86_64'): string => {
  const plain = new URL(url)
  plain.username = ''
  plain.password = ''
  plain.hash = ''
  const processor = architecture === 'x86_64' ? '' : ` ${architecture}`
  return createHash('sha256').update(`${plain.href}${processor}`).digest('hex')
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
