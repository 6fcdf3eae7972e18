import {createInterface} from 'node:readline/promises'

import type {Loss} from '../engine/show/loss.ts'
import {VmctlError} from '../model/errors.ts'
import {formatAge, formatSize} from '../model/quantity.ts'
import {columnsOf, wrapBehind} from './wrap.ts'

/** What is about to be done, for a person to agree to. */
export interface Question {
  /** `reload destroys these VMs with their disks, and makes new ones:` */
  readonly what: string
  readonly losses: readonly Loss[]
  /** What people often mean instead. */
  readonly instead?: string
}

/** Somebody who can read the question and type the answer. */
export const canAsk = (): boolean => process.stdin.isTTY && process.stderr.isTTY

/** @param width columns of the terminal */
export const questionText = ({what, losses, instead}: Question, width: number): string => {
  const names = losses.map(({kind, name}) => (kind === 'volume' ? `volume ${name}` : name))
  const column = Math.max(...names.map(({length}) => length)) + 4
  // Beside long names there is no room for the rest.
  const isNarrow = column + 24 > width
  const lines = losses.map((loss, at) => {
    const name = `  ${names[at] ?? ''}`
    if (!isNarrow) return wrapBehind(factsOf(loss), width, {margin: ' '.repeat(column), first: name.padEnd(column)})
    return `${name}\n${wrapBehind(factsOf(loss), width, {margin: '    '})}`
  })
  const around = (text: string): string => wrapBehind(text, width, {margin: ''})
  return [around(what), ...lines, ...(instead === undefined ? [] : [around(instead)])].join('\n')
}

const places = {vm: ' on its disk', orphan: ' on its disk', volume: ' on it', image: '', writes: ' written since'} as const

const factsOf = ({kind, diskBytes, createdAt, isRunning, lastUsedAt, snapshots = 0}: Loss): string =>
  [
    `${formatSize(diskBytes)}${places[kind]}`,
    ...(lastUsedAt === undefined ? [] : [`last used ${formatAge(Date.now() - Date.parse(lastUsedAt))} ago`]),
    ...(createdAt === undefined ? [] : [`made ${formatAge(Date.now() - Date.parse(createdAt))} ago`]),
    ...(isRunning ? ['running'] : []),
    ...(snapshots > 0 ? [`with ${snapshots === 1 ? 'its snapshot' : `its ${snapshots} snapshots`}`] : []),
    ...(kind === 'orphan' ? ['no longer in the VMFile'] : []),
  ].join(', ')

/**
 * Asks on the terminal; anything but `y` or `yes` is a no.
 * @throws VmctlError `vmctl::usage::not_confirmed`, or `vmctl::interrupted` for Ctrl+C
 */
export const confirm = async (question: Question, signal: AbortSignal): Promise<void> => {
  process.stderr.write(`${questionText(question, columnsOf(process.stderr))}\n`)
  // Not as a terminal of readline's own, which would take Ctrl+C for itself.
  const reader = createInterface({input: process.stdin, output: process.stderr, terminal: false})
  // The end of input is a no too.
  const ended = new Promise<undefined>((resolve) => reader.once('close', () => resolve(undefined)))
  try {
    const answer = await Promise.race([reader.question('Go on? [y/N] ', {signal}), ended])
    if (answer === undefined) process.stderr.write('\n')
    else if (/^y(?:es)?$/i.test(answer.trim())) return
  } catch (error) {
    if (!signal.aborted) throw error
    process.stderr.write('\n')
    throw new VmctlError('vmctl::interrupted', 'Interrupted. Nothing was done.', {help: 'Answer y, or give --yes.'})
  } finally {
    reader.close()
    process.stdin.pause()
  }
  throw new VmctlError('vmctl::usage::not_confirmed', 'Nothing was done.', {help: 'Answer y, or give --yes.'})
}
