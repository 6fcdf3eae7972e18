import {basename, dirname} from 'node:path/posix'

import {hashFile} from '../../host/hash.ts'
import {systemCode} from '../../model/errors.ts'
import {quote} from '../../model/quote.ts'
import {vitalDirectories} from '../../model/safe-path.ts'
import {runInGuest} from '../job/guest-shell.ts'
import type {Guest, GuestUploadOptions} from '../provisioner.ts'
import {isNothing, planTree, type TreeChanges, type TreeOptions} from './tree-plan.ts'
import {part, shipment} from './tree-shipment.ts'
import {hashFunction, type Survey, surveyTree} from './tree-survey.ts'
import {type HashedEntry, hashTree, listTree, smallFileBytes} from './tree.ts'

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
  /** What cannot be carried over, in words: `run/app.sock is a socket`. */
  readonly leftOut: readonly string[]
}

/**
 * Brings a directory of the guest to what a local one is.
 *
 * One question tells what the guest has; when that is all, nothing else happens. What differs travels as one compressed
 * stream, is unpacked aside, is compared with its hashes while more arrives, and only then moved into place, each by one rename.
 */
export const uploadTree = async (guest: Guest, paths: TreePaths, options: TreeUploadOptions = {}): Promise<TreeResult> => {
  const {source} = paths
  const target = targetOf(paths)
  const {survey, entries, leftOut, changes} = await compareTree(guest, paths, options)
  const {compression} = survey
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
  return {sent: changes.send.length, bytes, unchanged: entries.length - changes.send.length, removed: changes.remove.length, leftOut}
}

/** What is said of that which was left out of a tree. */
export const tellLeftOut = (source: string, leftOut: readonly string[]): string => {
  const rest = leftOut.length - mostNames
  return `left out of ${source}: ${leftOut.slice(0, mostNames).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`
}

const mostNames = 10

/** Whether the guest has a directory as the local one is, so that `uploadTree` would do nothing. */
export const isTreeThere = async (guest: Guest, paths: TreePaths, options: TreeUploadOptions): Promise<boolean> => {
  const {survey, changes} = await compareTree(guest, paths, options)
  return survey.exists && isNothing(changes)
}

const targetOf = ({destination}: TreePaths): string => destination.replace(/\/+$/, '') || '/'

interface Comparison {
  readonly survey: Survey
  readonly entries: readonly HashedEntry[]
  readonly leftOut: readonly string[]
  readonly changes: TreeChanges
}

const compareTree = async (guest: Guest, paths: TreePaths, options: TreeUploadOptions): Promise<Comparison> => {
  const {source} = paths
  const leftOut: string[] = []
  const listed = await listTree(source, options.ignore, (words) => void leftOut.push(words))
  const asking = {entries: listed, listAll: options.mirror === true, options: accessOf(options)}
  const [survey, known] = await Promise.all([
    surveyTree(guest, targetOf(paths), asking),
    hashTree(source, listed, ({size}) => size > smallFileBytes),
  ])
  // A small file is hashed now when the guest has one to compare it with, and otherwise as it is sent.
  const entries = await hashTree(source, known, ({name, sha256}) => sha256 === undefined && survey.found.get(name)?.type === 'file')
  return {survey, entries, leftOut, changes: planTree(entries, survey, options)}
}

/**
 * Whether the guest has a file as the local one is: a regular file with its content, the mode, and the owner when one is given.
 * @param mode permission bits
 */
export const isFileThere = async (
  guest: Guest,
  {source, destination}: TreePaths,
  {mode, owner, ...access}: Pick<TreeUploadOptions, 'owner' | 'privileged' | 'signal'> & {readonly mode: number},
): Promise<boolean> => {
  const entry = {name: basename(destination), type: 'file', mode, size: 0, sha256: await hashFile(source)} as const
  const asking = {entries: [entry], listAll: false, options: accessOf(access)}
  const survey = await surveyTree(guest, dirname(destination), asking)
  return survey.exists && isNothing(planTree([entry], survey, owner === undefined ? {} : {owner}))
}

const isCutOff = (error: Error): boolean => ['EPIPE', 'ERR_STREAM_PREMATURE_CLOSE'].includes(systemCode(error) ?? '')

const accessOf = ({privileged, signal}: TreeUploadOptions): Pick<GuestUploadOptions, 'privileged' | 'signal'> => ({
  ...(privileged !== undefined && {privileged}),
  signal,
})

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
${compression} -dc | tar -xpmof - -C ..
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
