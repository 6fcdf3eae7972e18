import {createReadStream} from 'node:fs'
import {lstat, readdir, readlink} from 'node:fs/promises'
import {join} from 'node:path'
import {pipeline} from 'node:stream/promises'
import {createGzip} from 'node:zlib'

import {hashFile} from '../host/hash.ts'
import {VmctlError} from '../model/errors.ts'
import {elevate} from '../model/elevate.ts'
import {quote} from '../model/quote.ts'
import type {Guest, GuestUploadOptions} from './provisioner.ts'

/** One entry below a local directory. */
export interface TreeEntry {
  /** Relative, with slashes. */
  readonly name: string
  readonly type: 'file' | 'directory' | 'symlink'
  /** Permission bits. */
  readonly mode: number
  readonly size: number
  readonly target?: string
}

/** Everything below a directory, sorted by name. Sockets, pipes and devices are an error, since they cannot be carried over. */
export const listTree = async (directory: string): Promise<TreeEntry[]> => {
  const entries: TreeEntry[] = []
  for (const name of (await namesBelow(directory, '')).toSorted()) {
    const path = join(directory, name)
    const info = await lstat(path)
    const mode = info.mode & 0o7777
    if (info.isDirectory()) entries.push({name, type: 'directory', mode, size: 0})
    else if (info.isSymbolicLink()) entries.push({name, type: 'symlink', mode, size: 0, target: await readlink(path)})
    else if (info.isFile()) entries.push({name, type: 'file', mode, size: info.size})
    else
      throw new VmctlError('vmctl::provision::failed', `${path} is neither a file, a directory nor a symbolic link and cannot be uploaded.`)
  }
  return entries
}

/** Node's own recursive `readdir` would walk into links to directories, in circles too. */
const namesBelow = async (directory: string, prefix: string): Promise<string[]> => {
  const entries = await readdir(join(directory, prefix), {withFileTypes: true})
  const nested = entries.map(async (entry) => {
    const name = `${prefix}${entry.name}`
    return entry.isDirectory() ? [name, ...(await namesBelow(directory, `${name}/`))] : [name]
  })
  return (await Promise.all(nested)).flat()
}

/** A hash of a tree: names, types, modes, targets and contents. */
export const describeTree = async (directory: string): Promise<string[]> => {
  const facts: string[] = []
  for (const {name, type, mode, target} of await listTree(directory)) {
    facts.push(JSON.stringify([name, type, mode, target, type === 'file' ? await hashFile(join(directory, name)) : undefined]))
  }
  return facts
}

/**
 * Puts a tree into a directory of the guest: it is unpacked beside the destination as a whole first, and only then its
 * files are moved over the old ones, each in one step. What the destination has besides stays.
 */
export const uploadTree = async (guest: Guest, source: string, destination: string, options: GuestUploadOptions): Promise<void> => {
  const {pack} = await import('tar-stream')
  const archive = pack()
  const gzip = createGzip({level: 1})
  const feed = async (): Promise<void> => {
    for (const {name, type, mode, size, target} of await listTree(source)) {
      const header = {name, type, mode, uid: 0, gid: 0, uname: 'root', gname: 'root', ...(target !== undefined && {linkname: target})}
      // The entry first: it throws when the archive was given up, and nobody would listen to a file that is open by then.
      const entry = archive.entry(type === 'file' ? {...header, size} : header)
      if (type === 'file') await pipeline(createReadStream(join(source, name)), entry)
    }
    archive.finalize()
  }
  let said = ''
  const command = unpackProgram(destination, options.owner)
  const shipping = Promise.all([feed(), pipeline(archive, gzip, {end: true})])
  // A broken transfer shows in exec's result; the feeding side then fails as a consequence only.
  shipping.catch((error: unknown) => {
    gzip.destroy(error instanceof Error ? error : new Error(String(error)))
  })
  const giveUp = async (): Promise<void> => {
    archive.destroy()
    gzip.destroy()
    await shipping.catch(() => undefined)
  }
  const exec = guest.exec(options.privileged ? elevate(command) : `sh -c ${quote(command)}`, {
    stdin: gzip,
    onStderr: (chunk) => {
      said = `${said}${chunk.toString()}`.slice(-2000)
    },
    signal: options.signal,
  })
  const {code} = await exec.catch(async (error: unknown) => {
    await giveUp()
    throw error
  })
  if (code !== 0) {
    await giveUp()
    throw new VmctlError(
      'vmctl::provision::failed',
      `The directory ${source} could not be put into the guest at ${destination}: ${said.trim() || `status ${code}`}`,
    )
  }
  await shipping
}

const unpackProgram = (destination: string, owner: string | undefined): string => `set -e
target=${quote(destination.replace(/\/+$/, '') || '/')}
owner=${quote(owner ?? '')}
export target owner
if [ -e "$target" ] && [ ! -d "$target" ]; then echo "$target exists and is not a directory" >&2; exit 1; fi
mkdir -p "$target"
stage=$(mktemp -d "$target/.vmctl-XXXXXXXXXX")
trap 'rm -rf "$stage"' EXIT
gzip -dc | tar -xpf - -C "$stage"
chown -hR "\${owner:-$(id -u):$(id -g)}" "$stage"
cd "$stage"
find . -type d ! -name . -exec sh -c 'for d; do
  [ -d "$target/$d" ] || mkdir "$target/$d" || exit 1
  chmod "$(stat -c %a "$d")" "$target/$d"
  [ -z "$owner" ] || chown "$owner" "$target/$d"
done' sh {} +
find . ! -type d -exec sh -c 'for f; do
  t=$target/$f
  # mv would move into a directory, or into what a link leads to.
  if [ -L "$t" ]; then [ ! -d "$t" ] || rm -f "$t"
  elif [ -d "$t" ]; then echo "$t is a directory" >&2; exit 1; fi
  mv -f "$f" "$t" || exit 1
done' sh {} +`
