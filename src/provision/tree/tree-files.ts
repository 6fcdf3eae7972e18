import {createHash, randomBytes} from 'node:crypto'
import {mkdir, open, symlink} from 'node:fs/promises'
import {dirname, join} from 'node:path/posix'

import {VmctlError} from '../../model/errors.ts'
import type {GuestEntry, GuestFileOptions, GuestFiles} from '../../model/guest-files.ts'
import {unsafePath} from '../../model/safe-path.ts'
import type {TreeChanges} from './tree-plan.ts'
import type {Found, Survey} from './tree-survey.ts'
import type {TreeEntry} from './tree.ts'

/** Files that are looked at or on their way at once: each costs several round trips. */
const atOnce = 16

const inParallel = async <T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> => {
  const queue = items.values()
  const workers = Array.from({length: Math.min(atOnce, items.length)}, async () => {
    for (const item of queue) await work(item)
  })
  // Nothing may still be under way when somebody tidies up.
  const failed = (await Promise.allSettled(workers)).find(({status}) => status === 'rejected')
  if (failed?.status === 'rejected') throw failed.reason
}

/** Looks for the entries of a tree in a guest without a shell. A file of the same size is read, since only its content tells whether it is the same. */
export const surveyFiles = async (
  files: GuestFiles,
  destination: string,
  {
    entries,
    listAll,
    signal,
  }: {readonly entries: readonly TreeEntry[]; readonly listAll: boolean; readonly signal?: AbortSignal | undefined},
): Promise<Survey> => {
  const top = await files.look(destination)
  if (!top) return {compression: 'gzip', exists: false, found: new Map(), all: []}
  if (top.type !== 'directory') throw new VmctlError('vmctl::guest::copy_failed', `${destination} is not a directory in the guest.`)
  const wanted = new Map(entries.map((entry) => [entry.name, entry]))
  const there = await everything(files, {
    top: destination,
    takes: (name) => listAll || wanted.has(name),
    enters: (name) => listAll || wanted.get(name)?.type === 'directory',
  })
  const found = new Map<string, Found>()
  await inParallel(there, async ({name, ...entry}) => {
    signal?.throwIfAborted()
    const path = join(destination, name)
    const {type, mode} = entry
    if (type === 'symlink') found.set(name, {type, mode, target: await files.linkTarget(path)})
    else if (type === 'file' && wanted.get(name)?.size === entry.size)
      found.set(name, {type, mode, sha256: await hashOf(files, path, signal)})
    else found.set(name, {type, mode})
  })
  return {compression: 'gzip', exists: true, found, all: listAll ? there.map(({name}) => name) : []}
}

const hashOf = async (files: GuestFiles, path: string, signal: AbortSignal | undefined): Promise<string> => {
  const hash = createHash('sha256')
  await files.read(path, (piece) => void hash.update(piece), {signal})
  return hash.digest('hex')
}

type NamedEntry = GuestEntry & {readonly name: string}

interface Choice {
  readonly top: string
  readonly takes: (name: string) => boolean
  /** Of the directories that are taken. */
  readonly enters: (name: string) => boolean
}

/** What is below a directory of the guest, each directory before what is in it. */
const everything = async (files: GuestFiles, choice: Choice, below = ''): Promise<NamedEntry[]> => {
  const all: NamedEntry[] = []
  for (const {name: own, ...entry} of await files.list(join(choice.top, below))) {
    const name = `${below}${own}`
    if (!choice.takes(name)) continue
    const reason = own.includes('/') ? 'it is a path' : unsafePath(own)
    if (reason !== undefined) {
      const message = `What the guest sent was refused: it has the name ${JSON.stringify(own)}: ${reason}.`
      throw new VmctlError('vmctl::guest::archive_refused', message)
    }
    all.push({...entry, name})
    if (entry.type === 'directory' && choice.enters(name)) all.push(...(await everything(files, choice, `${name}/`)))
  }
  return all
}

interface Sending extends GuestFileOptions {
  readonly source: string
  readonly target: string
  readonly changes: TreeChanges
  /** The destination is not there yet: all of it comes into place at once. */
  readonly isNew: boolean
}

/** Brings what differs into a directory beside, or in, the destination, and moves it from there into place, each by one rename. */
export const sendFiles = async (files: GuestFiles, sending: Sending): Promise<void> => {
  const {target, changes, isNew} = sending
  const aside = `.vmctl-${randomBytes(6).toString('hex')}`
  const stage = isNew ? join(dirname(target), aside) : join(target, aside)
  if (isNew) await files.makeParents(dirname(target))
  try {
    await files.makeDirectory(stage, isNew ? 0o755 : 0o700)
    await fill(files, stage, sending)
    if (isNew) {
      await setModes(files, stage, directoriesOf(changes))
      await files.replace(stage, target)
      return
    }
    for (const name of changes.clear) await files.remove(join(target, name))
    for (const name of changes.move) await files.replace(join(stage, name), join(target, name))
    for (const name of changes.remove) await files.remove(join(target, name))
    await setModes(files, target, [...changes.modes, ...directoriesOf(changes)])
  } finally {
    // What is left of it when the connection is gone is in nobody's way.
    await files.remove(stage).catch(() => undefined)
  }
}

const fill = async (files: GuestFiles, stage: string, {source, changes, onProgress, signal}: Sending): Promise<void> => {
  // New directories are in the order of the tree; those of files that go into one which is there are made for the while.
  const made = new Set<string>(['.'])
  const makeDirectories = async (name: string): Promise<void> => {
    if (made.has(name)) return
    made.add(name)
    await makeDirectories(dirname(name))
    await files.makeDirectory(join(stage, name), 0o700)
  }
  for (const {name, type} of changes.send) await makeDirectories(type === 'directory' ? name : dirname(name))
  let sent = 0
  await inParallel(
    changes.send.filter(({type}) => type !== 'directory'),
    async ({name, target, mode}) => {
      const path = join(stage, name)
      if (target !== undefined) return files.link(target, path)
      let before = 0
      const progress = (bytes: number): void => {
        onProgress?.((sent += bytes - before))
        before = bytes
      }
      await files.create(join(source, name), path, {mode, onProgress: progress, signal})
    },
  )
}

const directoriesOf = ({send}: TreeChanges): readonly TreeEntry[] => send.filter(({type}) => type === 'directory')

/** The deepest first: a directory may take the right to go into it. */
const setModes = async (files: GuestFiles, top: string, entries: readonly TreeEntry[]): Promise<void> => {
  for (const {name, mode} of entries.toReversed()) await files.setMode(join(top, name), mode)
}

/** Copies a directory of the guest into a new and private one here. Nothing is written through a link that the guest has. */
export const receiveFiles = async (
  files: GuestFiles,
  {source, directory}: {readonly source: string; readonly directory: string},
  {onProgress, signal}: GuestFileOptions,
): Promise<void> => {
  const entries = await everything(files, {top: source, takes: () => true, enters: () => true})
  const [directories, others] = [entries.filter(({type}) => type === 'directory'), entries.filter(({type}) => type !== 'directory')]
  for (const {name} of directories) await mkdir(join(directory, name), {mode: 0o700})
  let received = 0
  await inParallel(others, async ({name, type}) => {
    const path = join(directory, name)
    if (type === 'symlink') return symlink(await files.linkTarget(join(source, name)), path)
    if (type !== 'file') return
    const handle = await open(path, 'wx', 0o600)
    try {
      const {mode, modifiedAt} = await files.read(
        join(source, name),
        async (piece) => {
          await handle.writeFile(piece)
          onProgress?.((received += piece.length))
        },
        {signal},
      )
      // Neither set-ID nor sticky bits come from a guest.
      await handle.chmod(mode & 0o777)
      await handle.utimes(modifiedAt, modifiedAt)
    } finally {
      await handle.close()
    }
  })
  for (const {name, mode} of directories.toReversed()) {
    const handle = await open(join(directory, name), 'r')
    await handle.chmod(mode & 0o777)
    await handle.close()
  }
}
