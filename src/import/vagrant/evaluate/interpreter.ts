import {ImportError} from '../../draft.ts'
import type {Warnings} from '../../warnings.ts'
import {type Body, type Definition, type Expression, type Param, within} from '../parse/ast.ts'
import {isTarget, type Setting, unknown, type Value} from './values.ts'

/** The local variables of a block or a method. */
export interface Scope {
  readonly values: Map<string, Value>
  /** The code around a block, whose variables it sees. */
  readonly around: Scope | undefined
}

/** What is known while the file is gone through. */
export interface Interpreter {
  readonly warnings: Warnings
  /** Constants, and variables with `$` and `@`. */
  readonly globals: Map<string, Value>
  readonly functions: Map<string, Definition>
  readonly called: Set<string>
  /** What the file sets, outside of all machines. */
  readonly settings: Setting[]
  /** Code that a condition switched off, and whether another round went through it. */
  readonly switched: Map<Body, boolean>
  /** Lines of Ruby that sets nothing. */
  readonly noise: Set<number>
  /** Lines of machines that cannot be known. */
  readonly lostMachines: Set<number>
  /** What may still be evaluated. */
  budget: number
  depth: number
  readonly evaluate: (expression: Expression, scope: Scope) => Value
  readonly runBody: (body: Body, scope: Scope) => Value
}

/** Leaves a block, a method or the file. `uncertain` is one of them, of which it is not known whether it happens. */
export class Jump extends Error {
  readonly word: 'next' | 'break' | 'return' | 'stop' | 'uncertain'
  readonly value: Value
  readonly line: number

  constructor(word: Jump['word'], line: number, value: Value = null) {
    super(word)
    this.word = word
    this.line = line
    this.value = value
  }
}

export const innerScope = (around: Scope): Scope => ({values: new Map(), around})

export const find = (scope: Scope | undefined, name: string): Value | undefined => holderOf(scope, name)?.values.get(name)

/** Gives a value to the variable of that name, or makes one. */
export const assign = (scope: Scope, name: string, value: Value): void => {
  const holder = holderOf(scope, name) ?? scope
  holder.values.set(name, value)
}

const holderOf = (scope: Scope | undefined, name: string): Scope | undefined =>
  scope === undefined || scope.values.has(name) ? scope : holderOf(scope.around, name)

/** Gives the parameters of a block their values. */
export const bind = (scope: Scope, params: readonly Param[], value: Value): void => {
  const items = params.length > 1 && Array.isArray(value) ? value : [value]
  for (const [index, param] of params.entries()) {
    const item = items[index] ?? null
    if (typeof param === 'string') scope.values.set(param, item)
    else bind(scope, param.length === 1 ? [...param, '_'] : param, item)
  }
}

/** @throws ImportError when the file does far more than any that was written by hand */
export const spend = (interpreter: Interpreter, line: number): void => {
  interpreter.budget -= 1
  if (interpreter.budget < 0 || interpreter.depth > 100)
    throw new ImportError(`line ${line}: this goes through more than can be imported; write its machines out`)
}

const expressionsOf = (code: readonly Expression[]): readonly Expression[] => code.flatMap(within)

/** Whether code may set something of Vagrant. */
export const touches = (interpreter: Interpreter, code: readonly Expression[], scope: Scope): boolean =>
  expressionsOf(code).some((one) => {
    if (one.kind === 'name') return isTarget(find(scope, one.name)) || interpreter.functions.has(one.name)
    if (one.kind === 'variable') return one.name === 'Vagrant' && code.length > 0 && hasConfigure(code)
    if (one.kind === 'opaque') return one.names.some((name) => isTarget(find(scope, name)))
    return one.kind === 'call' && one.receiver === undefined && interpreter.functions.has(one.name)
  })

const hasConfigure = (code: readonly Expression[]): boolean =>
  expressionsOf(code).some((one) => one.kind === 'call' && one.name === 'configure')

/** Makes everything unknown that code may have changed which is not gone through, and remembers the machines in it. */
export const forget = (interpreter: Interpreter, code: readonly Expression[], scope: Scope): void => {
  for (const one of expressionsOf(code)) {
    if (one.kind === 'call' && one.name === 'define') interpreter.lostMachines.add(one.line)
    const changed = changedBy(one)
    for (const name of changed) {
      if (/^[\p{Lu}$@]/u.test(name)) interpreter.globals.set(name, unknown)
      else if (!isTarget(find(scope, name))) assign(scope, name, unknown)
    }
  }
}

const changing = /^(?:push|append|concat|unshift|prepend|insert|delete|delete_if|clear|pop|shift|store|update|merge!|replace|.*!)$/

const changedBy = (expression: Expression): readonly string[] => {
  if (expression.kind === 'assignment') return rootOf(expression.target)
  if (expression.kind === 'opaque') return expression.names
  if (expression.kind === 'operation' && expression.operator === '<<') return rootOf(expression.left)
  return expression.kind === 'call' && expression.receiver && changing.test(expression.name) ? rootOf(expression.receiver) : []
}

const rootOf = (expression: Expression): readonly string[] => {
  if (expression.kind === 'name' || expression.kind === 'variable') return [expression.name]
  if (expression.kind === 'index') return rootOf(expression.receiver)
  return expression.kind === 'call' && expression.receiver ? rootOf(expression.receiver) : []
}

/** The last line of code. */
export const lastLineOf = (expression: Expression): number =>
  within(expression).reduce((last, one) => Math.max(last, one.line, ...endsOf(one)), expression.line)

const endsOf = (expression: Expression): readonly number[] => {
  if (expression.kind === 'opaque') return [expression.lastLine]
  if (expression.kind === 'branch') return [expression.yes.lastLine, expression.no.lastLine]
  if (expression.kind === 'definition' || expression.kind === 'body') return [expression.body.lastLine]
  return expression.kind === 'call' && expression.block ? [expression.block.body.lastLine] : []
}
