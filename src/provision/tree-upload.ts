import {hash} from 'node:crypto'
import {createReadStream} from 'node:fs'
import {basename, join} from 'node:path'
import {Readable} from 'node:stream'
import {pipeline} from 'node:stream/promises'
import {setImmediate as nextTurn} from 'node:timers/promises'
import {constants, createGzip, createZstdCompress} from 'node:zlib'

import {ioError} from '../host/files.ts'
import {systemCode} from '../model/errors.ts'
import {quote, quoteAll} from '../model/quote.ts'
import {vitalDirectories} from '../model/safe-path.ts'
import {runInGuest} from './guest-shell.ts'
import type {Guest, GuestUploadOptions} from './provisioner.ts'
import {TarWriter} from './tar.ts'
import {isNothing, planTree, type TreeChanges, type TreeOptions} from './tree-plan.ts'
import {batches, hashFunction, isEscaped, type Survey, surveyTree} from './tree-survey.ts'
import {changedMeanwhile, type HashedEntry, hashTree, listTree, readSmallFile, smallFileBytes} from './tree.ts'

export interface TreeUploadOptions extends TreeOptions, Pick<GuestUploadOptions, 'privileged' | 'signal'> {
  /** Called with the bytes of the files that were sent so far, and of all that are to be sent. */
  readonly onProgress?: (bytes: number, total: number) => void
}

/** Two directories, one here and one in the guest. */
export interface TreePaths {
  readonly source: string
  readonly destination: string
}

/** What an upload came to. */
export interface TreeResult {
  readonly sent: number
  readonly bytes: number
  readonly unchanged: number
  readonly removed: number
}

/**
 * Brings a directory of the guest to what a local one is.
 *
 * One question tells what the guest has; when that is all, nothing else happens. What differs travels as one compressed
 * stream, is unpacked aside, is compared with its hashes, and only then moved into place, each by one rename.
 */
export const uploadTree = async (guest: Guest, {source, destination}: TreePaths, options: TreeUploadOptions = {}): Promise<TreeResult> => {
  const target = destination.replace(/\/+$/, '') || '/'
  const listed = await listTree(source, options.ignore)
  const asking = {entries: listed, listAll: options.mirror === true, options: accessOf(options)}
  const [survey, known] = await Promise.all([
    surveyTree(guest, target, asking),
    hashTree(source, listed, ({size}) => size > smallFileBytes),
  ])
  // A small file is hashed now when the guest has one to compare it with, and otherwise as it is sent.
  const entries = await hashTree(source, known, ({name, sha256}) => sha256 === undefined && survey.found.get(name)?.type === 'file')
  const {compression} = survey
  const changes = planTree(entries, survey, options)
  const files = changes.send.filter(({type}) => type === 'file')
  const bytes = files.reduce((sum, {size}) => sum + size, 0)
  if (!survey.exists || !isNothing(changes)) {
    const stream = shipment(source, changes, {...options, bytes, compression})
    await runInGuest(guest, unpackProgram(target, compression, options), {
      ...accessOf(options),
      action: `put ${source} into the guest at ${target}`,
      stdin: stream,
    }).catch((error: unknown) => {
      // What broke on this side shows to the guest only as a stream that ends too early, and the other way around.
      throw stream.errored && !isCutOff(stream.errored) ? stream.errored : error
    })
  }
  return {sent: changes.send.length, bytes, unchanged: entries.length - changes.send.length, removed: changes.remove.length}
}

const isCutOff = (error: Error): boolean => ['EPIPE', 'ERR_STREAM_PREMATURE_CLOSE'].includes(systemCode(error) ?? '')

const accessOf = ({privileged, signal}: TreeUploadOptions): Pick<GuestUploadOptions, 'privileged' | 'signal'> => ({
  ...(privileged !== undefined && {privileged}),
  signal,
})

type ShipmentOptions = Pick<TreeUploadOptions, 'onProgress' | 'owner'> & {
  readonly bytes: number
  readonly compression: Survey['compression']
}

/** The compressed stream: the entries below `tree/`, and after them `plan`, which says what to do with them. */
const shipment = (source: string, changes: TreeChanges, {bytes, compression, owner, onProgress}: ShipmentOptions): Readable => {
  const compressor = compressors[compression]()
  let sent = 0
  const blocks = archive(source, changes, {owner, sent: (size) => onProgress?.((sent += size), bytes)})
  pipeline(Readable.from(blocks, {highWaterMark: 2}), compressor).catch(() => undefined)
  return compressor
}

const compressors = {
  gzip: () => createGzip({level: 1, chunkSize: chunkBytes}),
  zstd: () => createZstdCompress({params: {[constants.ZSTD_c_compressionLevel]: 1}, chunkSize: chunkBytes}),
}

const archive = async function* (
  source: string,
  changes: TreeChanges,
  {owner, sent}: {readonly owner: string | undefined; readonly sent: (bytes: number) => void},
): AsyncGenerator<Buffer> {
  const tar = new TarWriter()
  const hashes = new Map<string, string>()
  // A turn for the compressor and the connection after each block.
  const full = async function* (): AsyncGenerator<Buffer> {
    for (let block = tar.take(); block; block = tar.take()) {
      yield block
      await nextTurn()
    }
  }
  for (const entry of changes.send) {
    const {name, type, size, sha256} = entry
    const path = join(source, name)
    tar.entry({...entry, name: `tree/${name}`, mode: stagedMode(entry)})
    if (type === 'file' && size <= smallFileBytes) {
      const content = tar.room(size)
      readSmallFile(path, content)
      hashes.set(name, sha256 ?? hash('sha256', content))
    } else if (type === 'file') {
      hashes.set(name, sha256 ?? '')
      for await (const chunk of contentOf(path, size)) {
        tar.write(chunk)
        yield* full()
      }
      tar.pad(size)
    }
    sent(size)
    if (tar.hasFull) yield* full()
  }
  const plan = Buffer.from(planProgram(changes, hashes, owner))
  tar.entry({name: 'plan', type: 'file', mode: 0o600, size: plan.length})
  for (let at = 0; at < plan.length; at += chunkBytes) tar.write(plan.subarray(at, at + chunkBytes))
  tar.pad(plan.length)
  tar.end()
  yield* full()
}

/** The content of a large file, which must have just this size. */
async function* contentOf(path: string, size: number): AsyncGenerator<Buffer> {
  let length = 0
  try {
    for await (const chunk of createReadStream(path, {highWaterMark: chunkBytes}) as AsyncIterable<Buffer>) {
      length += chunk.length
      if (length > size) break
      yield chunk
    }
  } catch (error) {
    throw ioError('read', path, error)
  }
  if (length !== size) throw changedMeanwhile(path)
}

/** Whoever unpacks must be able to look at what he has unpacked; the real mode comes at the very end. */
const stagedMode = ({type, mode}: Pick<HashedEntry, 'type' | 'mode'>): number => (mode & 0o777) | (type === 'directory' ? 0o700 : 0o400)

const chunkBytes = 128 * 2 ** 10

/** Calls of the functions of `unpackProgram`, in the order in which they have to happen. */
const planProgram = (changes: TreeChanges, hashes: ReadonlyMap<string, string>, owner: string | undefined): string => {
  const {send, move, clear, modes, owners, remove} = changes
  const verify = batches([...hashes.keys()], isEscaped).map(
    (batch) => `verify ${quote(batch.map((name) => hashes.get(name) ?? '').join('\n'))} ${words(batch)}`,
  )
  // The deepest first: a directory may take the right to go into it.
  const finalModes = [...modes, ...send.filter((entry) => entry.type !== 'symlink' && stagedMode(entry) !== entry.mode)].toReversed()
  return [
    ...verify,
    ...calls('clear', clear),
    ...perDirectory(move).map(
      ([directory, names]) => `move ${quote(directory)} ${names.map((name) => `"$staged"/${quote(name)}`).join(' ')}`,
    ),
    ...(owner === undefined ? [] : calls('own', owners)),
    ...calls('clear', remove),
    ...runsOf(finalModes),
    '',
  ].join('\n')
}

/** Names in portions that are in one directory and one argument list each. The top is the empty name. */
const perDirectory = (names: readonly string[]): (readonly [directory: string, names: readonly string[]])[] =>
  [...Map.groupBy(names, directoryOf)].flatMap(([directory, below]) => batches(below).map((batch) => [directory, batch] as const))

const directoryOf = (name: string): string => name.slice(0, Math.max(0, name.lastIndexOf('/')))

const calls = (command: string, names: readonly string[]): string[] =>
  perDirectory(names).map(([directory, batch]) => `${command} ${quote(directory)} ${words(batch.map((name) => basename(name)))}`)

/** Neighbours with the same mode in the same directory together, in their order. */
const runsOf = (entries: readonly HashedEntry[]): string[] => {
  const runs: {mode: number; directory: string; names: string[]}[] = []
  for (const {mode, name} of entries) {
    const directory = directoryOf(name)
    const last = runs.at(-1)
    if (last?.mode === mode && last.directory === directory) last.names.push(name)
    else runs.push({mode, directory, names: [name]})
  }
  return runs.flatMap(({mode, names}) => calls(`mode ${mode.toString(8)}`, names))
}

const words = (names: readonly string[]): string => quoteAll(names.map((name) => `./${name}`))

/*
 * Whoever may write to the destination in the guest may exchange what is there at any moment, also while root works on it. So
 * what is unpacked lies in a private directory, which is entered once and then named by `.` and `..` only; and a directory
 * of the destination is entered, then compared with where it ought to be, and then worked in by plain names.
 */
const unpackProgram = (destination: string, compression: string, {owner, mirror}: Pick<TreeOptions, 'owner' | 'mirror'>): string => `set -e
umask 022
target=${quote(destination)}
owner=${quote(owner ?? '')}
fail() { echo "$1" >&2; exit 1; }
if [ ! -d "$target" ]; then mkdir -p "$target"; [ -z "$owner" ] || chown -h "$owner" "$target"; fi
cd "$target/"; top=$(pwd -P; echo .); top=\${top%??}; top=\${top%/}
${mirror ? `case $top in ${vitalDirectories.map(quote).join('|')}) fail "$target is $top/, which is too much to be mirrored" ;; esac` : ''}
stage=$(mktemp -d ./.vmctl-XXXXXXXXXX); cd "$stage"
[ "$(pwd -P)" = "$top/\${stage#./}" ] || fail "$target changed meanwhile"
mkdir tree; cd tree
trap 'cd .. && rm -rf ./plan ./tree && cd .. && rmdir "$stage"' EXIT
trap 'exit 1' HUP INT TERM PIPE
# This shell's own place, by a name that cannot be exchanged where the system has one.
staged=/proc/$$/cwd; [ -d "$staged/" ] || staged=$top/\${stage#./}/tree
${compression} -dc | tar -xpf - -C ..
[ -z "$owner" ] || chown -hR "$owner" .
${hashFunction}
verify() {
  expected=$1; shift
  [ "$(hashes "$@")" = "$expected" ] || fail "$1 or a file after it did not arrive as it was; did it change meanwhile?"
}
enter() {
  expected=$top\${1:+/$1}; [ "$expected" ] || expected=/
  cd "$expected" && [ "$(pwd -P; echo .)" = "$expected
." ] || fail "$expected was exchanged meanwhile"
}
move() { (enter "$1"; shift; mv -f "$@" .) || fail "$top/$1 was not changed"; }
clear() { (enter "$1"; shift; rm -rf "$@") || fail 'what is in the way could not be removed'; }
own() { (enter "$1"; shift; chown -h "$owner" "$@") || fail 'the owner could not be changed'; }
mode() { (to=$1; enter "$2"; shift 2; for f; do [ ! -L "$f" ] || exit 1; done; chmod "$to" "$@") || fail 'a mode could not be changed'; }
. ../plan
sync`
