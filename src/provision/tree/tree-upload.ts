import {stat} from 'node:fs/promises'
import {basename, dirname} from 'node:path/posix'

import {hashFile} from '../../host/hash.ts'
import {systemCode} from '../../model/errors.ts'
import {noShell} from '../../model/login.ts'
import {vitalDirectories} from '../../model/safe-path.ts'
import {runInGuest} from '../job/guest-shell.ts'
import type {Guest, GuestUploadOptions} from '../provisioner.ts'
import {isNothing, planTree, type TreeChanges, type TreeOptions} from './tree-plan.ts'
import {part, shipment} from './tree-shipment.ts'
import {type Survey, surveyTree} from './tree-survey.ts'
import {type HashedEntry, hashTree, listTree, smallFileBytes} from './tree.ts'
import {programText} from '../../model/guest-program.ts'
import {unpackTree} from '../programs/index.ts'

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
  if (guest.files) {
    const {sendFiles} = await import('./tree-files.ts')
    const {onProgress, signal} = options
    const onBytes = (sent: number): void => onProgress?.(sent, bytes)
    const isNew = !survey.exists
    if (isNew || !isNothing(changes)) await sendFiles(guest.files, {source, target, changes, isNew, onProgress: onBytes, signal})
  } else if (!survey.exists || !isNothing(changes)) {
    // What is new comes into place as a whole.
    const moved = survey.exists ? changes : {...changes, move: []}
    const stream = shipment(source, moved, {...options, bytes, compression})
    const inParts = files.length > part.files || bytes > part.bytes
    await runInGuest(guest, unpackProgram(target, {...options, compression, inParts, isNew: !survey.exists}), {
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
  if (guest.files && (options.privileged || options.owner !== undefined))
    throw noShell('Nothing can be copied as root, or for another owner')
  const leftOut: string[] = []
  const listed = await listTree(source, options.ignore, (words) => void leftOut.push(words))
  const asking = {entries: listed, listAll: options.mirror === true, options: accessOf(options)}
  const [survey, known] = await Promise.all([
    surveyOf(guest, targetOf(paths), asking),
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
  const entry = {name: basename(destination), type: 'file', mode, size: (await stat(source)).size, sha256: await hashFile(source)} as const
  const asking = {entries: [entry], listAll: false, options: accessOf(access)}
  const survey = await surveyOf(guest, dirname(destination), asking)
  return survey.exists && isNothing(planTree([entry], survey, owner === undefined ? {} : {owner}))
}

const surveyOf = async (guest: Guest, destination: string, asking: Parameters<typeof surveyTree>[2]): Promise<Survey> => {
  if (!guest.files) return surveyTree(guest, destination, asking)
  const {surveyFiles} = await import('./tree-files.ts')
  return surveyFiles(guest.files, destination, {...asking, signal: asking.options.signal})
}

const isCutOff = (error: Error): boolean => ['EPIPE', 'ERR_STREAM_PREMATURE_CLOSE'].includes(systemCode(error) ?? '')

const accessOf = ({privileged, signal}: TreeUploadOptions): Pick<GuestUploadOptions, 'privileged' | 'signal'> => ({
  ...(privileged !== undefined && {privileged}),
  signal,
})

const unpackProgram = (
  target: string,
  {
    owner = '',
    mirror,
    compression,
    inParts,
    isNew,
  }: Pick<TreeOptions, 'owner' | 'mirror'> & Pick<Survey, 'compression'> & {readonly inParts: boolean; readonly isNew: boolean},
): string =>
  programText(unpackTree, {
    target,
    owner,
    vital: mirror ? `\n${vitalDirectories.join('\n')}\n` : '',
    compression,
    in_parts: inParts,
    is_new: isNew,
  })
