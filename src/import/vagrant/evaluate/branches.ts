import {type Body, type Branch, type Choice, type Expression, withinBody} from '../parse/ast.ts'
import {forget, type Interpreter, Jump, lastLineOf, type Scope, touches} from './interpreter.ts'
import {areEqual, isRange, rangeItems, truth, unknown, type Value} from './values.ts'

/** What is said of settings that are left out because nobody knows whether they are made. */
export const conditional =
  'this depends on a condition that is not known here, and is left out; write it without the condition where it is wanted'

/** `if`, `unless`, `? :`: one side when the condition is known, else none. */
export const branch = (interpreter: Interpreter, expression: Branch, scope: Scope): Value => {
  const isTrue = truth(interpreter.evaluate(expression.test, scope))
  const {yes, no} = expression
  if (isTrue === undefined) return leaveOut(interpreter, {expression, bodies: [yes, no]}, scope)
  return choosing(interpreter, {taken: isTrue ? yes : no, others: [isTrue ? no : yes]}, scope)
}

export const choose = (interpreter: Interpreter, expression: Choice, scope: Scope): Value => {
  const {subject, cases, otherwise} = expression
  const value = subject ? interpreter.evaluate(subject, scope) : undefined
  const bodies = [...cases.map(({body}) => body), otherwise]
  for (const {tests, body} of cases) {
    const isMet = meets(tests.map((test) => matches(interpreter.evaluate(test, scope), value)))
    if (isMet === undefined) return leaveOut(interpreter, {expression, bodies}, scope)
    if (isMet) return choosing(interpreter, {taken: body, others: bodies.filter((one) => one !== body)}, scope)
  }
  return choosing(interpreter, {taken: otherwise, others: bodies.filter((one) => one !== otherwise)}, scope)
}

const meets = (results: readonly (boolean | undefined)[]): boolean | undefined =>
  results.includes(true) ? true : results.includes(undefined) ? undefined : false

const matches = (test: Value, value: Value | undefined): boolean | undefined => {
  if (value === undefined) return truth(test)
  if (!isRange(test)) return areEqual(test, value)
  return rangeItems(test)?.includes(value)
}

interface Choosing {
  readonly taken: Body
  readonly others: readonly Body[]
}

const choosing = (interpreter: Interpreter, {taken, others}: Choosing, scope: Scope): Value => {
  if (touches(interpreter, taken.statements, scope)) interpreter.switched.set(taken, true)
  for (const other of others) {
    if (touches(interpreter, other.statements, scope) && !interpreter.switched.has(other)) interpreter.switched.set(other, false)
  }
  return interpreter.runBody(taken, scope)
}

interface LeftOut {
  readonly expression: Expression
  readonly bodies: readonly Body[]
}

const leaveOut = (interpreter: Interpreter, {expression, bodies}: LeftOut, scope: Scope): Value => {
  const code = bodies.flatMap(({statements}) => statements)
  const range = [expression.line, lastLineOf(expression)] as const
  if (touches(interpreter, code, scope))
    interpreter.warnings.atLine([Math.min(...range, ...code.map(({line}) => line)), range[1]], conditional)
  else if (code.some(({kind}) => kind === 'call' || kind === 'name'))
    for (let line = range[0]; line <= range[1]; line++) interpreter.noise.add(line)
  forget(interpreter, code, scope)
  const leaves = bodies.flatMap(withinBody).some(({kind}) => kind === 'jump')
  if (leaves) throw new Jump('uncertain', expression.line)
  return unknown
}
