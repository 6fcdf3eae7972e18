import {VmctlError} from '../../model/errors.ts'
import {quote, quoteAll} from '../../model/quote.ts'
import {unsafePath} from '../../model/safe-path.ts'
import {runInGuest} from '../job/guest-shell.ts'
import type {Guest, GuestUploadOptions} from '../provisioner.ts'
import type {TreeEntry} from './tree.ts'
import {surveyTree as survey} from '../programs/index.ts'

/** What the guest has under a name that a tree has. */
export interface Found {
  readonly type: 'file' | 'directory' | 'symlink' | 'other'
  readonly mode?: number
  /** `uid`, `gid`, and their names. */
  readonly owner?: {readonly uid: string; readonly gid: string; readonly user: string; readonly group: string}
  /** Absent also for a file that could not be read. */
  readonly sha256?: string
  readonly target?: string
}

export interface Survey {
  /** What the guest can unpack; zstd takes both sides a sixth of the work. */
  readonly compression: 'zstd' | 'gzip'
  /** Whether the destination itself exists. */
  readonly exists: boolean
  readonly found: ReadonlyMap<string, Found>
  /** Every name below the destination; empty unless asked for. */
  readonly all: readonly string[]
}

/** What one argument list in the guest may hold: systems give it 128 KiB at least, and the environment lies there too. */
const batch = {names: 500, bytes: 48 * 2 ** 10}

/** Names in portions that are one argument list each; those that stand alone come last. */
export const batches = (names: readonly string[], standsAlone: (name: string) => boolean = () => false): string[][] => {
  const portions: string[][] = []
  const alone: string[][] = []
  let bytes = 0
  for (const name of names) {
    if (standsAlone(name)) {
      alone.push([name])
      continue
    }
    const size = Buffer.byteLength(name) + 16
    const last = portions.at(-1)
    const fits = last !== undefined && last.length < batch.names && bytes + size <= batch.bytes
    if (fits) last.push(name)
    else portions.push([name])
    bytes = fits ? bytes + size : size
  }
  return [...portions, ...alone]
}

/**
 * Asks the guest, in one round trip, what it has under the names of a tree. It answers in the order of the questions, so no
 * name needs to come back and none has a meaning; the names that `mirror` needs end in NUL, which no name contains.
 */
export const surveyTree = async (
  guest: Guest,
  destination: string,
  {entries, listAll, options}: {readonly entries: readonly TreeEntry[]; readonly listAll: boolean; readonly options: GuestUploadOptions},
): Promise<Survey> => {
  const calls = questions(entries)
  const chunks: Buffer[] = []
  const program = [
    survey.text,
    `look ${quote(destination)}`,
    ...calls.map(({command, names}) => `${command} ${quoteAll(names.map((name) => `./${name}`))}`),
    ...(listAll ? ['all'] : []),
  ].join('\n')
  await runInGuest(guest, program, {
    ...options,
    action: `look at ${destination} in the guest`,
    onStdout: (chunk) => void chunks.push(chunk),
  })
  const answer = new Answer(Buffer.concat(chunks))
  const compression = answer.line() === 'zstd' ? 'zstd' : 'gzip'
  if (answer.line() === 'absent') return {compression, exists: false, found: new Map(), all: []}
  const found = new Map<string, Found>()
  for (const call of calls) readAnswers(call, answer, found)
  return {compression, exists: true, found, all: listAll ? answer.names() : []}
}

/** `F` for files, `D` for directories, `L` for links. A name that sha256sum would escape stands alone and is read by a redirection. */
interface Question {
  readonly command: 'F' | 'D' | 'L'
  readonly names: readonly string[]
}

const commands = {file: 'F', directory: 'D', symlink: 'L'} as const

const questions = (entries: readonly TreeEntry[]): Question[] =>
  Object.entries(commands).flatMap(([type, command]) => {
    const names = entries.filter((entry) => entry.type === type).map(({name}) => name)
    return batches(names, command === 'F' ? isEscaped : undefined).map((portion) => ({command, names: portion}))
  })

/** sha256sum(1) writes such a name in another way, or in two lines. */
export const isEscaped = (name: string): boolean => /[\\\n\r]/.test(name)

const types: Readonly<Record<string, Found['type']>> = {f: 'file', d: 'directory', l: 'symlink', o: 'other'}

const readAnswers = ({command, names}: Question, answer: Answer, found: Map<string, Found>): void => {
  const letters = answer.line()
  const wanted = command.toLowerCase()
  if (letters.length !== names.length) throw misunderstood()
  const same = names.filter((_, index) => letters[index] === wanted)
  for (const [index, name] of names.entries()) {
    const type = types[letters[index] ?? '']
    if (type) found.set(name, {type})
  }
  const facts = same.map(() => factsOf(answer.line()))
  const more = same.map(() => (command === 'F' ? {sha256: answer.line()} : command === 'L' ? {target: answer.name()} : {}))
  for (const [index, name] of same.entries()) found.set(name, {type: types[wanted] ?? 'other', ...facts[index], ...more[index]})
}

const factsOf = (line: string): Pick<Found, 'mode' | 'owner'> => {
  const [mode = '', uid = '', gid = '', user = '', group = ''] = line.split(' ')
  if (!/^[0-7]{1,4}$/.test(mode)) throw misunderstood()
  return {mode: Number.parseInt(mode, 8), owner: {uid, gid, user, group}}
}

const misunderstood = (): VmctlError =>
  new VmctlError(
    'vmctl::provision::failed',
    'The guest gave an answer that does not fit the question; its files may have changed meanwhile.',
  )

/** Reads the answer from front to back. */
class Answer {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  line(): string {
    return this.#until('\n')
  }

  name(): string {
    return this.#until('\0')
  }

  /** The names to the end, without the `./` of find. One that is not safe was made up, and is dropped. */
  names(): string[] {
    const names: string[] = []
    while (this.#at < this.#bytes.length) names.push(this.name().replace(/^\.\//, ''))
    return names.filter((name) => unsafePath(name) === undefined)
  }

  #until(end: string): string {
    const stop = this.#bytes.indexOf(end, this.#at)
    if (stop === -1) throw misunderstood()
    const text = this.#bytes.toString('utf8', this.#at, stop)
    this.#at = stop + 1
    return text
  }
}
