import {createInterface} from 'node:readline/promises'

import type {Loss} from '../engine/show/loss.ts'
import {VmctlError} from '../model/errors.ts'
import {formatAge, formatSize} from '../model/quantity.ts'

/** What is about to be done, for a person to agree to. */
export interface Question {
  /** `reload destroys these VMs with their disks, and makes new ones:` */
  readonly what: string
  readonly losses: readonly Loss[]
  /** Other things that go, a line each. */
  readonly more?: readonly string[]
  /** What people often mean instead. */
  readonly instead?: string
}

/** Somebody who can read the question and type the answer. */
export const canAsk = (): boolean => process.stdin.isTTY && process.stderr.isTTY

const questionText = ({what, losses, more = [], instead}: Question): string => {
  const width = Math.max(...losses.map(({name}) => name.length))
  const lines = losses.map(({name, diskBytes, createdAt}) => {
    const age = createdAt === undefined ? '' : `, made ${formatAge(Date.now() - Date.parse(createdAt))} ago`
    return `  ${name.padEnd(width)}  ${formatSize(diskBytes)} on its disk${age}`
  })
  return [what, ...lines, ...more.map((line) => `  ${line}`), ...(instead === undefined ? [] : [instead])].join('\n')
}

/**
 * Asks on the terminal; anything but `y` or `yes` is a no.
 * @throws VmctlError `vmctl::usage::not_confirmed`
 */
export const confirm = async (question: Question, signal: AbortSignal): Promise<void> => {
  process.stderr.write(`${questionText(question)}\n`)
  // Not as a terminal of readline's own, which would take Ctrl+C for itself.
  const reader = createInterface({input: process.stdin, output: process.stderr, terminal: false})
  // The end of input is a no too.
  const ended = new Promise<string>((resolve) => reader.once('close', () => resolve('')))
  try {
    const answer = await Promise.race([reader.question('Go on? [y/N] ', {signal}), ended])
    if (/^y(?:es)?$/i.test(answer.trim())) return
  } finally {
    reader.close()
    process.stdin.pause()
  }
  throw new VmctlError('vmctl::usage::not_confirmed', 'Nothing was done.', {help: 'Answer y, or give --yes.'})
}
