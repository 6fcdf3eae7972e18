/**
 * What stands in the `console` blocks of the documentation is what came of running them. A page says how, in comments that its
 * readers do not see:
 *
 *   <!-- run: noop -->          from here on blocks are run, in a new directory: without guests, or by `micro` in QEMU
 *   <!-- cache: debian:12 -->   the image is in the cache
 *   <!-- file: VMFile.kdl -->   the next block becomes that file
 *   <!-- hidden: COMMANDS -->   is run, and not shown
 *   <!-- fails: 3 -->           the last command of the next block ends with that status; all others end with 0
 *   <!-- not run: REASON -->    the next block is as somebody wrote it
 *
 *   node scripts/sessions.ts [noop] [micro] [PAGE…]    runs the blocks and writes the pages that would differ
 */
import {readFileSync, writeFileSync} from 'node:fs'
import {dirname, join, relative} from 'node:path'

import {handWrittenPages} from './docs.ts'
import type {Screen} from './screen.ts'
import {type Guests, isGuests, openStage, type Program, type Stage} from './stage.ts'

const root = join(import.meta.dirname, '..')
const read = (page: string): string => readFileSync(join(root, page), 'utf8')

const token = /<!-- (?<word>run|cache|file|hidden|fails|not run):\s(?<rest>[^]*?)\s-->|^```(?<language>\w*)\n(?<body>[^]*?)^```$/gm

interface Token {
  /** Where it begins in the page. */
  readonly index: number
  readonly whole: string
  /** The word of a comment; `block` for a code block. */
  readonly word: string
  /** What a comment says, or what a block holds. */
  readonly rest: string
  readonly language: string
}

const tokensOf = (text: string): Token[] =>
  [...text.matchAll(token)].map(({0: whole, index, groups = {}}) => ({
    index,
    whole,
    word: groups.word ?? 'block',
    rest: groups.word === undefined ? (groups.body ?? '') : (groups.rest ?? ''),
    language: groups.language ?? '',
  }))

/** Blocks that show a terminal and are not run: each with its place and the reason, which is empty where none is given. */
export const blocksNotRun = (): {readonly place: string; readonly reason: string}[] =>
  handWrittenPages()
    .filter((page) => !page.startsWith('docs/reference/'))
    .flatMap((page) => {
      const text = read(page)
      let isRunning = false
      let reason: string | undefined
      return tokensOf(text).flatMap(({word, rest, language, index}) => {
        if (word === 'run') isRunning = true
        if (word === 'not run') reason = rest
        if (word !== 'block') return []
        const given = reason
        reason = undefined
        const isShown = language === 'text' || (language === 'console' && (given !== undefined || !isRunning))
        return isShown ? [{place: `${page}:${text.slice(0, index).split('\n').length}`, reason: given ?? ''}] : []
      })
    })

/** The pages that have blocks to run, with who plays the guests there. */
export const pagesToRun = (): ReadonlyMap<string, Guests> =>
  new Map(
    handWrittenPages().flatMap((page) => {
      const guests =
        tokensOf(read(page))
          .find(({word}) => word === 'run')
          ?.rest.split(' ')[0] ?? ''
      return isGuests(guests) ? [[page, guests] as const] : []
    }),
  )

/** The text of a page after its blocks were run; the one that it has when they came out as they stand there. */
export const runPage = async (page: string, program: Program = 'bin/run.js'): Promise<string> => {
  const text = read(page)
  let filled = ''
  let end = 0
  let stage: Stage | undefined
  let comment: Token | undefined
  try {
    for (const one of tokensOf(text)) {
      if (one.word === 'block') {
        const {whole, index} = one
        // oxlint-disable-next-line no-await-in-loop -- each command needs what came before it
        filled += text.slice(end, index) + (stage ? await blockOf(one, {stage, comment}) : whole)
        end = index + whole.length
        comment = undefined
      } else {
        // oxlint-disable-next-line no-await-in-loop -- the same
        stage = await obey(one, {stage, program})
        comment = one
      }
    }
  } finally {
    await stage?.[Symbol.asyncDispose]()
  }
  return filled + text.slice(end)
}

/** Does what a comment says; returns where the next blocks run. */
const obey = async (
  {word, rest}: Token,
  {stage, program}: {readonly stage: Stage | undefined; readonly program: Program},
): Promise<Stage | undefined> => {
  if (word === 'hidden') await stage?.prepare(rest)
  if (word === 'cache') await stage?.cache(rest)
  if (word !== 'run') return stage
  await stage?.[Symbol.asyncDispose]()
  const [guests = '', name] = rest.split(' ')
  if (!isGuests(guests)) throw new Error(`Nobody knows how to run blocks by ${guests}.`)
  return openStage(guests, {program, ...(name !== undefined && {name})})
}

const blockOf = async (
  {whole, rest, language}: Token,
  {stage, comment}: {readonly stage: Stage; readonly comment: Token | undefined},
): Promise<string> => {
  if (comment?.word === 'file') writeFileSync(join(stage.directory, comment.rest), rest)
  if (language !== 'console' || comment?.word === 'not run') return whole
  const commands = commandsOf(rest)
  let shown = ''
  for (const [index, command] of commands.entries()) {
    const {exitCode, screen} = await stage.run(command)
    const expected = comment?.word === 'fails' && index === commands.length - 1 ? Number(comment.rest) : 0
    if (exitCode !== expected) throw new Error(`${command} ended with ${exitCode}:\n${screen.lines().join('\n')}`)
    shown += `$ ${command}\n${textOf(screen, stage)}`
  }
  return comparable(shown) === comparable(rest) ? whole : `\`\`\`console\n${shown}\`\`\``
}

/** The lines of a block that begin with `$`, and those after a backslash. */
const commandsOf = (block: string): string[] =>
  [...block.matchAll(/^\$ (?<command>.*(?<=\\)\n(?:.*\\\n)*.*|.*)$/gm)].map(({groups}) => groups?.command ?? '')

const textOf = (screen: Screen, stage: Stage): string => {
  const text = screen
    .lines()
    .filter((line) => !onlyWhenBusy.test(line))
    .join('\n')
    .trim()
    .replaceAll(dirname(stage.directory), '/home/me')
  return text === '' ? '' : `${text}\n`
}

/** What is said of a guest that is slow today. */
const onlyWhenBusy = /has (?:written|said|shown) nothing|no sign of life|still waiting/

const numbersThatStay = new Set(['1024', '2048', '4096', '8080', '8081', '2222', '5432'])

/** Times, sizes, numbers of processes and the like made equal, and the order of lines: two runs of one block compare as the same. */
export const comparable = (block: string): string =>
  block
    .replaceAll(/^\[ *[\d.]+s\] /gm, '')
    .replaceAll(/\b\d+(?:\.\d+)? (?:ms|s|min|h)\b(?: \d+ (?:s|min)\b)*/g, 'TIME')
    .replaceAll(/\b\d+(?:\.\d+)? (?:[KMG]i?)?B\b/g, 'SIZE')
    .replaceAll(/\d{4}-\d\d-\d\d[T ][\d:.]+Z?|\d\d:\d\d:\d\d/g, 'DATE')
    .replaceAll(/\b\d+\.\d+\.\d+-\d+/g, 'VERSION')
    .replaceAll(/\b[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}\b|SHA256:[\w+/]+|\b[\da-f]{8,64}\b/g, 'ID')
    .replaceAll(/(?<="(?:durationMs|startMs)": )\d+/g, 'NUMBER')
    .replaceAll(/\b\d{4,7}\b/g, (number) => (numbersThatStay.has(number) ? number : 'NUMBER'))
    .replaceAll(/ {2,}/g, '  ')
    .split('\n')
    .map((line) => line.trimEnd())
    .toSorted()
    .join('\n')

const main = async (words: readonly string[]): Promise<void> => {
  const wanted = [...pagesToRun()].filter(([page, guests]) => words.length === 0 || words.includes(page) || words.includes(guests))
  const queue = wanted.toSorted(([, a], [, b]) => (a < b ? -1 : 1))
  const work = async (): Promise<void> => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      const [page] = next
      const before = read(page)
      const text = await runPage(page)
      if (text === before) continue
      if (read(page) !== before) throw new Error(`${page} was changed while its commands ran.`)
      writeFileSync(join(root, page), text)
      process.stdout.write(`wrote ${page}\n`)
    }
  }
  // Two guests at once: more of them stand in each other's way on two cores.
  const ended = await Promise.allSettled([work(), work()])
  for (const one of ended) if (one.status === 'rejected') throw one.reason
}

if (process.argv[1] !== undefined && relative(process.argv[1], import.meta.filename) === '') await main(process.argv.slice(2))
