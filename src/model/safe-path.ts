/**
 * Why a relative path from an archive or a guest must not be used below a directory of ours; undefined when it may.
 *
 * The one judgement of its kind: whoever was sent a name asks here before it becomes part of a path. A name that passes
 * cannot lead out of the directory by itself; links that lie there already are the concern of whoever writes.
 */
export const unsafePath = (name: string): string | undefined => {
  if (name === '') return 'it is empty'
  if (name.includes('\0')) return 'it contains a NUL character'
  if (name.startsWith('/')) return 'it is absolute'
  // U+FFFD stands for bytes that are not UTF-8: two different names could become the same.
  if (name.includes('\uFFFD')) return 'it is not UTF-8'
  if (!name.isWellFormed()) return 'it is not Unicode'
  const parts = name.split('/')
  if (parts.includes('..')) return 'it leads upwards'
  if (parts.includes('.') || parts.includes('')) return 'it has an empty part'
  return parts.some((part) => Buffer.byteLength(part) > 255) ? 'a part of it is longer than 255 bytes' : undefined
}

/** Directories of a guest that a system cannot do without. */
const vital =
  /^\/(?:(?:bin|boot|dev|etc|home|lib\w*|media|mnt|opt|proc|root|run|sbin|srv|sys|tmp|usr|var)(?:\/(?:bin|lib\w*|sbin|local|share|log|spool|cache))?)?$/

/** Whether everything that is not declared may be deleted from a directory of the guest: not from `/`, `/etc`, `/usr/bin`. */
export const isMirrorable = (directory: string): boolean => {
  const parts = directory.split('/').filter((part) => part !== '' && part !== '.')
  return directory.startsWith('/') && !parts.includes('..') && !vital.test(`/${parts.join('/')}`)
}
