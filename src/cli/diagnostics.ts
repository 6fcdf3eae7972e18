import {readFileSync} from 'node:fs'
import {styleText} from 'node:util'

import {reasonOf, type Problem, type VmctlError} from '../model/errors.ts'
import {stripControls} from '../model/strip.ts'
import {type FrameLine, frameLines} from '../model/frame.ts'

interface Look {
  readonly colour: boolean
}

type Style = Parameters<typeof styleText>[0]

const paint = (style: Style, text: string, {colour}: Look): string => (colour ? styleText(style, text, {validateStream: false}) : text)

const severityStyle = {error: 'red', warning: 'yellow'} as const

const frameStyle: Readonly<Record<FrameLine['kind'], Style>> = {place: 'dim', source: 'reset', caret: 'red', hint: 'cyan'}

/** A problem of a VMFile with its place in the text. */
export const formatProblem = (problem: Problem, look: Look): string => {
  const head = `${paint(['bold', severityStyle[problem.severity]], problem.severity, look)}: ${stripControls(problem.message)}`
  const lines = frameLines(sourceOf(problem.file), problem)
  return [
    head,
    ...lines.map(({kind, margin, text}) => `${paint('dim', margin, look)}${paint(frameStyle[kind], text, look)}`.trimEnd()),
  ].join('\n')
}

/** The file may have vanished meanwhile; the problem is told without its lines then. */
const sourceOf = (path: string): string => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

/** A failure as the user sees it: every problem, what happened, why, and what to do next. */
export const formatError = (error: VmctlError, look: Look): string => {
  const problems = error.problems.map((problem) => `${formatProblem(problem, look)}\n`)
  const causes = causesOf(error).map((cause) => `  ${paint('dim', 'because', look)}: ${stripControls(cause)}`)
  return [
    ...problems,
    `${paint(['bold', 'red'], 'error', look)}${paint('dim', `[${error.code}]`, look)}: ${stripControls(error.message)}`,
    ...causes,
    `  ${paint('cyan', 'help', look)}: ${stripControls(error.help)}`,
    '',
  ].join('\n')
}

/** Messages of the chain of causes that the error's own message does not contain already. */
const causesOf = (error: Error): string[] => {
  const causes: string[] = []
  let told = error.message
  let cause = error.cause
  // A chain may be a circle.
  for (let depth = 0; cause !== undefined && depth < 10; depth++) {
    const text = reasonOf(cause)
    if (!told.includes(text)) causes.push(text)
    told += text
    cause = cause instanceof Error ? cause.cause : undefined
  }
  return causes
}
