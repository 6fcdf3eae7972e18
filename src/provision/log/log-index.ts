import {type FileHandle, open, stat, truncate} from 'node:fs/promises'

import {act} from '../../host/durable.ts'
import {ioError, readIfExists, writeFileAtomic} from '../../host/files.ts'
import type {Delivered} from '../provisioner.ts'

/** Whose bytes are in a stretch of the log: the step's two streams, or vmctl's own words. */
export type Source = keyof Delivered | 'note'

/**
 * Says which bytes of provision.log are which stream's of the running step. Each stretch is announced here before it is
 * appended there, so after a kill at any moment this file and the size of the log tell what was logged, to the byte.
 */
export interface LogIndex extends AsyncDisposable {
  announce(stretches: readonly Stretch[]): Promise<void>
}

/** Some bytes of one source. */
type Stretch = readonly [Source, number]

/** First line of the file: what was logged of the step before, and where the announced stretches begin. */
interface Head extends Delivered {
  readonly token: string
  readonly base: number
}

const letters: Readonly<Record<Source, string>> = {stdout: 'o', stderr: 'e', note: 'n'}
const sources = new Map(Object.entries(letters).map(([source, letter]) => [letter, source as Source]))

const nothing: Delivered = {stdout: 0, stderr: 0}

/**
 * Opens the account of one run of a step, which the token names.
 * @returns what the log holds of that run: nothing, unless an earlier vmctl was cut off in it
 */
export const openLogIndex = async (
  paths: {readonly log: string; readonly index: string},
  token: string,
): Promise<{readonly index: LogIndex; readonly delivered: Delivered}> => {
  const {size} = await stat(paths.log)
  const known = parse(await readIfExists(paths.index))
  const found = known?.head.token === token ? tally(known, size) : {...nothing, end: size}
  // Only a power cut leaves bytes that were not announced; they come again.
  if (found.end < size) await act(`truncate ${paths.log}`, () => truncate(paths.log, found.end))
  const delivered = {stdout: found.stdout, stderr: found.stderr}
  const head: Head = {token, base: found.end, ...delivered}
  await writeFileAtomic(paths.index, `${JSON.stringify(head)}\n`)
  let handle: FileHandle
  try {
    handle = await open(paths.index, 'a')
  } catch (error) {
    throw ioError('open', paths.index, error)
  }
  return {
    delivered,
    index: {
      async announce(stretches) {
        const lines = joined(stretches).map(([source, bytes]) => `${letters[source]} ${bytes}\n`)
        await handle.appendFile(lines.join('')).catch((error: unknown) => {
          throw ioError('write', paths.index, error)
        })
      },
      [Symbol.asyncDispose]: () => handle.close(),
    },
  }
}

/** Neighbours of one source as one. */
const joined = (stretches: readonly Stretch[]): readonly Stretch[] => {
  const runs: Stretch[] = []
  for (const [source, bytes] of stretches) {
    const before = runs.at(-1)
    if (before?.[0] === source) runs[runs.length - 1] = [source, before[1] + bytes]
    else runs.push([source, bytes])
  }
  return runs
}

interface Announced {
  readonly head: Head
  readonly stretches: readonly Stretch[]
}

/** Reads as far as the file is whole: what was announced by a torn last line was never appended. */
const parse = (text: string | undefined): Announced | undefined => {
  const [first = '', ...lines] = text?.split('\n').slice(0, -1) ?? []
  const head = parseHead(first)
  if (!head) return undefined
  const stretches: Stretch[] = []
  for (const line of lines) {
    const [, letter = '', bytes] = /^([oen]) (\d{1,15})$/.exec(line) ?? []
    const source = sources.get(letter)
    if (!source) break
    stretches.push([source, Number(bytes)])
  }
  return {head, stretches}
}

const parseHead = (line: string): Head | undefined => {
  try {
    const {token, base, stdout, stderr}: Record<string, unknown> = JSON.parse(line)
    const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0 && !Object.is(value, -0)
    const isWhole = typeof token === 'string' && isCount(base) && isCount(stdout) && isCount(stderr)
    // What was logged lies before the stretches; a head that claims more is damaged, and output would be left out.
    return isWhole && stdout + stderr <= base ? {token, base, stdout, stderr} : undefined
  } catch {
    return undefined
  }
}

/** Goes through the announced stretches as far as the log reaches. Of a log that somebody has emptied nothing counts. */
const tally = ({head, stretches}: Announced, size: number): Delivered & {readonly end: number} => {
  if (size < head.base) return {...nothing, end: size}
  const counts = {stdout: head.stdout, stderr: head.stderr, note: 0}
  let end = head.base
  for (const [source, bytes] of stretches) {
    const there = Math.min(bytes, size - end)
    counts[source] += there
    end += there
  }
  return {stdout: counts.stdout, stderr: counts.stderr, end}
}
