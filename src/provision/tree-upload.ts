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
 * stream, is unpacked aside, is compared with its hashes while more arrives, and only then moved into place, each by one rename.
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
    const inParts = files.length > part.files || bytes > part.bytes
    await runInGuest(guest, unpackProgram(target, {...options, compression, inParts}), {
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

/** What is hashed in the guest in one go: the last of it when everything has arrived, all before it meanwhile. */
const part = {files: 500, bytes: 8 * 2 ** 20} as const

/**
 * The compressed stream: the entries below `tree/`, between them `sums1`, `sums2`, … with the hashes of the files since the one
 * before, and last `plan`, which says what to do with them.
 */
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
  const sums = checksums(tar)
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
      const content = readSmallFile(path, tar.room(size))
      sums.add(entry, sha256 ?? hash('sha256', content))
    } else if (type === 'file') {
      for await (const chunk of contentOf(path, size)) {
        tar.write(chunk)
        yield* full()
      }
      tar.pad(size)
      sums.add(entry, sha256 ?? '')
    }
    sent(size)
    if (tar.hasFull) yield* full()
  }
  const alone = sums.end()
  addText(tar, 'plan', planProgram(changes, alone, owner))
  tar.end()
  yield* full()
}

/** Writes the hashes of files into the archive, part by part. The end gives those of names that `sha256sum -c` would not understand. */
const checksums = (tar: TarWriter) => {
  const alone = new Map<string, string>()
  let lines: string[] = []
  let bytes = 0
  let count = 0
  const endPart = (): void => {
    if (lines.length > 0) addText(tar, `sums${++count}`, lines.join(''))
    lines = []
    bytes = 0
  }
  return {
    add({name, size}: HashedEntry, sha256: string): void {
      if (isEscaped(name)) alone.set(name, sha256)
      else lines.push(`${sha256}  ./${name}\n`)
      bytes += size
      if (lines.length === part.files || bytes >= part.bytes) endPart()
    },
    end(): ReadonlyMap<string, string> {
      endPart()
      return alone
    },
  }
}

const addText = (tar: TarWriter, name: string, text: string): void => {
  const content = Buffer.from(text)
  tar.entry({name, type: 'file', mode: 0o600, size: content.length})
  for (let at = 0; at < content.length; at += chunkBytes) tar.write(content.subarray(at, at + chunkBytes))
  tar.pad(content.length)
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
  const verify = [...hashes].map(([name, sha256]) => `verify ${sha256} ${words([name])}`)
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
const unpackProgram = (
  destination: string,
  {owner, mirror, compression, inParts}: Pick<TreeOptions, 'owner' | 'mirror'> & Pick<Survey, 'compression'> & {readonly inParts: boolean},
): string => `set -e
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
checker=
trap '[ -z "$checker" ] || { kill $checker || :; wait $checker || :; } 2>/dev/null
cd .. && rm -rf ./plan ./tree ./sums* ./unpacked && cd .. && rmdir "$stage"' EXIT
trap 'exit 1' HUP INT TERM PIPE
# This shell's own place, by a name that cannot be exchanged where the system has one.
staged=/proc/$$/cwd; [ -d "$staged/" ] || staged=$top/\${stage#./}/tree
wrong() { fail "$1 did not arrive as it was; did it change meanwhile?"; }
${hashFunction}
verify() { [ "$(hashes "$2")" = "$1" ] || wrong "$2"; }
# Files come in their order: those of a list are whole when the next list, or the end, is there.
check() {
  n=1
  while :; do
    over=; [ ! -e ../unpacked ] || over=1
    if [ ! "$over" ] && [ ! -e ../sums$((n+1)) ]; then sleep 0.03; continue; fi
    [ -e ../sums$n ] || return 0
    sha256sum -c ../sums$n >/dev/null 2>&1 || wrong "$(LC_ALL=C sha256sum -c ../sums$n 2>/dev/null | sed -n 's/: FAILED.*//p' | head -n 1)"
    n=$((n+1))
  done
}
${inParts ? 'if sleep 0.01 2>/dev/null; then check & checker=$!; fi' : ''}
${compression} -dc | tar -xpf - -C ..
: >../unpacked
[ -z "$owner" ] || chown -hR "$owner" .
if [ "$checker" ]; then wait $checker; checker=; else check; fi
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
