import type {Expression} from '../parse/ast.ts'
import {conditional} from './branches.ts'
import {assign, forget, type Interpreter, type Scope, touches} from './interpreter.ts'
import {operate} from './operate.ts'
import {truth, unknown, type Value} from './values.ts'

type Operation = Extract<Expression, {kind: 'operation'}>

/** `&&` and `||`: the right side counts only when the left one is known. */
const either = (
  interpreter: Interpreter,
  {expression, first}: {readonly expression: Operation; readonly first: Value},
  scope: Scope,
): Value => {
  const {operator, left, right, line} = expression
  const isTrue = truth(first)
  if (isTrue !== undefined) return isTrue === (operator === '&&') ? interpreter.evaluate(right, scope) : first
  if (operator === '||' && isEnvironment(left)) {
    interpreter.warnings.atLine(line, 'environment variables are not asked: the default stands in their place')
    return interpreter.evaluate(right, scope)
  }
  if (touches(interpreter, [right], scope)) interpreter.warnings.atLine(line, conditional)
  forget(interpreter, [right], scope)
  return unknown
}

/** An operator between two values; `&&` and `||` look at the right side only where the left one asks for it. */
export const operation = (interpreter: Interpreter, expression: Operation, scope: Scope): Value => {
  const {operator, left, right} = expression
  const first = interpreter.evaluate(left, scope)
  if (operator === '&&' || operator === '||') return either(interpreter, {expression, first}, scope)
  const second = interpreter.evaluate(right, scope)
  if (operator === '<<' && Array.isArray(first)) {
    first.push(second)
    return first
  }
  const value = operate(operator, first, second)
  // A text that is added to keeps it.
  if (operator === '<<' && left.kind === 'name' && typeof first === 'string') assign(scope, left.name, value)
  return value
}

const isEnvironment = (expression: Expression): boolean =>
  (expression.kind === 'index' && expression.receiver.kind === 'variable' && expression.receiver.name === 'ENV') ||
  (expression.kind === 'operation' && expression.operator === '||' && isEnvironment(expression.left))
