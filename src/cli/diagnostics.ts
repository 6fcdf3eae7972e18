import {readFileSync} from 'node:fs'

import {reasonOf, type Problem, type VmctlError} from '../model/errors.ts'
import {stripControls} from '../model/strip.ts'
import {type FrameLine, frameLines} from '../model/frame.ts'
import {paint, type Screen, type Style} from './screen.ts'
import {wrap, wrapLines} from './wrap.ts'

const severityStyle = {error: 'red', warning: 'yellow'} as const

const frameStyle: Readonly<Record<FrameLine['kind'], Style>> = {place: 'dim', source: 'reset', caret: 'red', hint: 'cyan'}

/** `: text`, in as many lines as it takes behind a label. */
const behind = (label: string, text: string, {width = Infinity}: Screen): string =>
  wrapLines(`${label}: ${stripControls(text)}`, width).slice(label.length)

const labelled = (label: string, text: string, {style, screen, margin = ''}: {style: Style; screen: Screen; margin?: string}): string =>
  `${margin}${paint(style, label, screen)}${behind(margin + label, text, screen)}`

/** A problem of a VMFile with its place in the text. */
export const formatProblem = (problem: Problem, screen: Screen): string => {
  const {severity, message, file} = problem
  const lines = frameLines(sourceOf(file), problem, screen.width)
  return [
    labelled(severity, message, {style: ['bold', severityStyle[severity]], screen}),
    ...lines.map((line) => frameLine(line, screen)),
  ].join('\n')
}

const frameLine = ({kind, margin, text}: FrameLine, screen: Screen): string => {
  const [first = '', ...more] = kind === 'hint' ? wrap(text, (screen.width ?? Infinity) - margin.length - 2) : [text]
  const rest = more.map((line) => `\n${' '.repeat(margin.length + 2)}${paint(frameStyle[kind], line, screen)}`)
  return `${paint('dim', margin, screen)}${paint(frameStyle[kind], first, screen)}${rest.join('')}`.trimEnd()
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
export const formatError = (error: VmctlError, screen: Screen): string => {
  const problems = error.problems.map((problem) => `${formatProblem(problem, screen)}\n`)
  const causes = causesOf(error).map((cause) => labelled('because', cause, {style: 'dim', screen, margin: '  '}))
  return [
    ...problems,
    `${paint(['bold', 'red'], 'error', screen)}${paint('dim', `[${error.code}]`, screen)}${behind(`error[${error.code}]`, error.message, screen)}`,
    ...causes,
    labelled('help', error.help, {style: 'cyan', screen, margin: '  '}),
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
