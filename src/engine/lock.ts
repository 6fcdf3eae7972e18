import {createHash} from 'node:crypto'
import {lstat, readdir, stat} from 'node:fs/promises'
import {basename, dirname, join, relative} from 'node:path'

import {remove} from '../host/durable.ts'
import {isTemporaryName, readIfExists, writeFileAtomic} from '../host/files.ts'
import {acquireLock} from '../host/lock.ts'
import {messageOf, VmctlError} from '../model/errors.ts'
import {fitsDeclared, isWeaker, keyOfReference, lockedKey, type LockedDigests, type LockedImage} from '../model/lock.ts'
import type {ImageReference} from '../model/vm.ts'
import {defaultName} from '../vmfile/index.ts'

/** The lock file of a VMFile: which builds of its images are used. */
export interface ImageLock {
  /** Absolute. */
  readonly path: string
  /** As it is called in messages. */
  readonly name: string
  /** Whether there was a file when it was opened. */
  readonly exists: boolean
  /** What is locked now. */
  images(): readonly LockedImage[]
  /** What is locked for a reference, unless the VMFile declares another digest by now. */
  find(reference: ImageReference): LockedImage | undefined
  /**
   * Locks what was found for a reference, and what its publisher says for other processors. What another vmctl has locked meanwhile stays.
   * A file that cannot be written is no failure: that is told.
   * @returns what is locked for the reference now
   * @throws VmctlError `vmctl::image::trust_fell`
   */
  add(reference: ImageReference, found: readonly LockedImage[]): Promise<LockedImage | undefined>
  /**
   * Changes the file, under its lock.
   * @throws VmctlError `vmctl::io`
   */
  change(edit: (images: readonly LockedImage[]) => readonly LockedImage[]): Promise<void>
}

interface LockOptions {
  /** Of the state directory. */
  readonly lockDirectory: string
  readonly signal: AbortSignal
  readonly onNotice: (message: string) => void
}

/** Where the lock of a VMFile is: `VMFile.lock` for `VMFile.kdl`, and `NAME.lock` for any other NAME. */
export const lockPath = (vmfile: string): string =>
  join(dirname(vmfile), `${basename(vmfile) === defaultName ? 'VMFile' : basename(vmfile)}.lock`)

/**
 * Opens the lock of a VMFile; undefined for one that is no file, as from a pipe, beside which nothing can be kept.
 * @throws VmctlError `vmctl::vmfile::parse_failed`, `vmctl::vmfile::validation` with the places of what is wrong
 */
export const openImageLock = async (vmfile: string, options: LockOptions): Promise<ImageLock | undefined> => {
  const file = await stat(vmfile).catch(() => undefined)
  if (!file?.isFile()) return undefined
  const path = lockPath(vmfile)
  const here = relative('', path)
  const name = here.startsWith('..') ? path : here
  await refuseStranger(path, {name, owner: file.uid})
  const read = await readLock(path, name)
  let current = read ?? []
  const change: ImageLock['change'] = async (edit) => {
    await using _lock = await acquireLock(join(options.lockDirectory, `vmfile-${createHash('sha256').update(path).digest('hex')}.lock`), {
      purpose: `writing ${path}`,
      timeoutMs: 60_000,
      signal: options.signal,
    })
    await sweep(path)
    current = edit((await readLock(path, name)) ?? [])
    await writeLock(path, current)
  }
  const find: ImageLock['find'] = (reference) => lockedFor(current, reference)
  return {
    path,
    name,
    exists: read !== undefined,
    images: () => current,
    find,
    change,
    async add(reference, found) {
      let isNew = false
      try {
        await change((there) => {
          isNew = there.length === 0
          return lockedFor(there, reference) ? there : added(there, found)
        })
        if (isNew)
          options.onNotice(`${name} now records which builds of its images this project uses. Commit it; \`vmctl image update\` renews it.`)
      } catch (error) {
        if (!isUnwritable(error)) throw error
        options.onNotice(`The builds of the images are not locked: ${messageOf(error)}`)
      }
      return find(reference)
    },
  }
}

/** What the lock says is fetched and booted: in a directory like /tmp anybody could leave one. */
const refuseStranger = async (path: string, {name, owner}: {readonly name: string; readonly owner: number}): Promise<void> => {
  const [link, file] = await Promise.all([lstat, stat].map((look) => look(path).catch(() => undefined)))
  // Reading a pipe would wait for ever.
  if (file && !file.isFile()) throw new VmctlError('vmctl::io', `${name} is not a file.`, {help: 'Move it away.'})
  const uid = link?.uid
  if (uid === undefined || [0, owner, process.getuid?.()].includes(uid)) return
  throw new VmctlError('vmctl::image::not_locked', `${name} belongs to another user than its VMFile, so it is not used.`, {
    help: `Look at it, then remove it or make it your own: \`chown\`.`,
    details: {lock: path},
  })
}

const isUnwritable = (error: unknown): boolean => error instanceof VmctlError && error.code === 'vmctl::io'

const lockedFor = (images: readonly LockedImage[], reference: ImageReference): LockedImage | undefined => {
  const key = keyOfReference(reference)
  const found = images.find((image) => lockedKey(image) === key)
  return found && fitsDeclared(found, reference) ? found : undefined
}

/** The first one found is that of the reference, and takes the place of one that does not fit any more; the others only fill gaps. */
const added = (there: readonly LockedImage[], [own, ...others]: readonly LockedImage[]): readonly LockedImage[] => {
  if (!own) return there
  const before = there.find((image) => lockedKey(image) === lockedKey(own))
  if (before) refuseWeaker(before, own)
  const kept = there.filter((image) => image !== before)
  const known = new Set(kept.map(lockedKey))
  return [...kept, own, ...others.filter((image) => !known.has(lockedKey(image)))]
}

/** @throws VmctlError `vmctl::image::trust_fell` */
export const refuseWeaker = (before: LockedImage, after: Pick<LockedImage, 'trust'>): void => {
  if (!isWeaker(after.trust, before.trust)) return
  const signer = before.trust.level === 'signed' ? ` by ${before.trust.by}` : ''
  const now = after.trust.level === 'none' ? 'nothing vouches for it any more' : 'now there is only a checksum'
  throw new VmctlError(
    'vmctl::image::trust_fell',
    `${before.image} was ${before.trust.level === 'signed' ? `signed${signer}` : 'verified by a checksum'} when it was locked; ${now}.`,
    {details: {image: before.image, before: before.trust.level, after: after.trust.level}},
  )
}

/** Loaded where there is a file, which most commands do not look for. */
const readLock = async (path: string, name: string): Promise<readonly LockedImage[] | undefined> => {
  const text = await readIfExists(path)
  if (text === undefined) return undefined
  const {parseLock} = await import('../vmfile/lock/read.ts')
  return parseLock(text, name)
}

const writeLock = async (path: string, images: readonly LockedImage[]): Promise<void> => {
  const {lockText} = await import('../vmfile/lock/write.ts')
  const text = lockText(images)
  // A file that says the same keeps its time.
  if ((await readIfExists(path)) === text) return
  const mode = (await stat(path).catch(() => undefined))?.mode ?? 0o666 & ~process.umask()
  await writeFileAtomic(path, text, mode & 0o777)
}

/** Removes what killed writers have left beside the file. The caller holds the lock. */
const sweep = async (path: string): Promise<void> => {
  const names = await readdir(dirname(path)).catch(() => [])
  const left = names.filter((name) => name.startsWith(`.${basename(path)}.`) && isTemporaryName(name))
  for (const name of left) await remove(join(dirname(path), name)).catch(() => undefined)
}

/**
 * The digests of all images that the lock of a VMFile holds; none where there is no lock. What has one of them is still wanted.
 * @throws VmctlError for a lock that cannot be read: then nobody knows what is wanted
 */
export const lockedDigests = async (vmfile: string): Promise<readonly LockedDigests[]> => {
  const path = lockPath(vmfile)
  return ((await readLock(path, path)) ?? []).map(({digests}) => digests)
}
