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

const tops = 'bin boot dev etc home lib lib32 lib64 libx32 libexec media mnt opt proc root run sbin srv sys tmp usr var'.split(' ')
const below = 'bin lib lib32 lib64 libx32 libexec sbin local share log spool cache'.split(' ')

/** Directories of a guest that a system cannot do without; the root is the empty text. */
export const vitalDirectories: readonly string[] = ['', ...tops.flatMap((top) => [`/${top}`, ...below.map((name) => `/${top}/${name}`)])]

/** Whether everything that is not declared may be deleted from a directory of the guest: not from `/`, `/etc`, `/usr/bin`. */
export const isMirrorable = (directory: string): boolean => {
  const parts = directory.split('/').filter((part) => part !== '' && part !== '.')
  return directory.startsWith('/') && !parts.includes('..') && !vitalDirectories.includes(parts.map((part) => `/${part}`).join(''))
}
