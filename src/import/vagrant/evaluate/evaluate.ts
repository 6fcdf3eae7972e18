import type {Warnings} from '../../warnings.ts'
import type {Assignment, Body, Expression, HashExpression} from '../parse/ast.ts'
import {branch, choose} from './branches.ts'
import {call} from './calls.ts'
import {ownDirectory, ownFile} from './host-paths.ts'
import {assign, find, forget, type Interpreter, Jump, lastLineOf, type Scope, spend, touches} from './interpreter.ts'
import {lookUp} from './methods.ts'
import {operation} from './operation.ts'
import {operate} from './operate.ts'
import {
  type Hash,
  isConstant,
  isKey,
  isTarget,
  isUnknown,
  joined,
  type Setting,
  spoil,
  toText,
  truth,
  unknown,
  type Value,
} from './values.ts'

/** What a file sets, and what of it could not be known. */
export interface Evaluated {
  readonly settings: readonly Setting[]
  /** Lines of machines that depend on what is not in the file. */
  readonly lostMachines: readonly number[]
}

/**
 * Goes through the code and collects what it sets. Nothing is run: what depends on the computer, on other files or on methods
 * that are not known is unknown, and so is what is made of it.
 * @throws ImportError when the file does far more than any that was written by hand
 */
export const evaluateFile = (file: Body, warnings: Warnings): Evaluated => {
  const interpreter: Interpreter = {
    warnings,
    globals: new Map(),
    functions: new Map(),
    called: new Set(),
    settings: [],
    switched: new Map(),
    noise: new Set(),
    lostMachines: new Set(),
    budget: 50_000,
    depth: 0,
    evaluate: (expression, scope) => evaluate(interpreter, expression, scope),
    runBody: (body, scope) => runBody(interpreter, body, scope),
  }
  try {
    runBody(interpreter, file, {values: new Map(), around: undefined})
  } catch (error) {
    if (!(error instanceof Jump)) throw error
    if (error.line < file.lastLine)
      warnings.atLine([error.line, file.lastLine], 'the file may end here before its last line: what follows is left out')
  }
  summarize(interpreter)
  return {settings: interpreter.settings, lostMachines: [...interpreter.lostMachines]}
}

const summarize = ({switched, functions, called, noise, warnings}: Interpreter): void => {
  for (const [body, isTaken] of switched)
    if (!isTaken) warnings.atLine([body.line, body.lastLine], 'this is switched off by its condition, and left out')
  for (const [name, definition] of functions) {
    if (called.has(name)) continue
    for (let line = definition.line; line <= lastLineOf(definition); line++) noise.add(line)
  }
  for (const line of [...noise].toSorted((a, b) => a - b))
    warnings.atLine(line, 'this Ruby is no setting of a VM, or none that is understood, and is left out')
}

const runBody = (interpreter: Interpreter, {statements}: Body, scope: Scope): Value => {
  let value: Value = null
  for (const statement of statements) {
    value = interpreter.evaluate(statement, scope)
    // A setting without arguments: `config.vm.something`.
    if (isTarget(value) && statement.kind === 'call')
      value.settings.push({path: value.path, line: statement.line, args: [], options: new Map(), children: []})
    const isCall = statement.kind === 'call' || statement.kind === 'name'
    if (isCall && isUnknown(value) && !touches(interpreter, [statement], scope))
      for (let line = statement.line; line <= lastLineOf(statement); line++) interpreter.noise.add(line)
  }
  return value
}

const evaluate = (interpreter: Interpreter, expression: Expression, scope: Scope): Value => {
  spend(interpreter, expression.line)
  interpreter.depth += 1
  try {
    return valueOf(interpreter, expression, scope)
  } finally {
    interpreter.depth -= 1
  }
}

const valueOf = (interpreter: Interpreter, expression: Expression, scope: Scope): Value => {
  switch (expression.kind) {
    case 'value':
      return expression.value
    case 'text':
      return joined(expression.parts.map((part) => (typeof part === 'string' ? part : toText(interpreter.evaluate(part, scope)))))
    case 'list':
      return listOf(interpreter, expression.items, scope)
    case 'hash':
      return hashOf(interpreter, expression, scope)
    case 'name':
    case 'variable':
      return named(interpreter, expression, scope)
    case 'index':
    case 'call':
    case 'operation':
    case 'not':
    case 'range':
      return computed(interpreter, expression, scope)
    default:
      return controlled(interpreter, expression, scope)
  }
}

type Computed = Extract<Expression, {kind: 'index' | 'call' | 'operation' | 'not' | 'range'}>

const computed = (interpreter: Interpreter, expression: Computed, scope: Scope): Value => {
  switch (expression.kind) {
    case 'call':
      return call(interpreter, expression, scope)
    case 'index': {
      const holder = interpreter.evaluate(expression.receiver, scope)
      const [key] = expression.args.map((arg) => interpreter.evaluate(arg, scope))
      if (isConstant(holder) && holder.name === 'ENV') return key === 'HOME' ? '~' : unknown
      return expression.args.length === 1 ? lookUp(holder, key) : unknown
    }
    case 'operation':
      return operation(interpreter, expression, scope)
    case 'not': {
      const isTrue = truth(interpreter.evaluate(expression.value, scope))
      return isTrue === undefined ? unknown : !isTrue
    }
    case 'range':
      return {
        is: 'range',
        from: interpreter.evaluate(expression.from, scope),
        to: interpreter.evaluate(expression.to, scope),
        isOpen: expression.isOpen,
      }
  }
}

type Controlled = Exclude<Expression, Computed | {kind: 'value' | 'text' | 'list' | 'hash' | 'name' | 'variable'}>

const controlled = (interpreter: Interpreter, expression: Controlled, scope: Scope): Value => {
  switch (expression.kind) {
    case 'assignment':
      return assignment(interpreter, expression, scope)
    case 'branch':
      return branch(interpreter, expression, scope)
    case 'choice':
      return choose(interpreter, expression, scope)
    case 'body':
      return interpreter.runBody(expression.body, scope)
    case 'definition':
      interpreter.functions.set(expression.name, expression)
      return null
    case 'jump':
      throw new Jump(expression.word, expression.line, expression.value ? interpreter.evaluate(expression.value, scope) : null)
    case 'splat':
      return unknown
    case 'opaque': {
      const {names, line, lastLine} = expression
      const isSetting = names.length > 0 && touches(interpreter, [expression], scope)
      forget(interpreter, [expression], scope)
      if (isSetting) interpreter.warnings.atLine([line, lastLine], 'this Ruby is not understood, and what it sets is left out')
      else if (names.length > 0) for (let number = line; number <= lastLine; number++) interpreter.noise.add(number)
      if (names.includes('define') && isSetting) interpreter.lostMachines.add(line)
      return unknown
    }
  }
}

const listOf = (interpreter: Interpreter, items: readonly Expression[], scope: Scope): Value => {
  const values: Value[] = []
  for (const item of items) {
    const value = interpreter.evaluate(item.kind === 'splat' ? item.value : item, scope)
    if (item.kind !== 'splat') values.push(value)
    else if (Array.isArray(value)) values.push(...value)
    else return unknown
  }
  return values
}

const hashOf = (interpreter: Interpreter, {pairs}: HashExpression, scope: Scope): Value => {
  const hash: Hash = new Map()
  for (const [key, value] of pairs) {
    const name = interpreter.evaluate(key, scope)
    if (value === undefined) {
      const given: Hash = name instanceof Map ? name : new Map([['**', unknown]])
      for (const [one, its] of given) hash.set(one, its)
    } else if (isKey(name)) hash.set(name, interpreter.evaluate(value, scope))
    else return unknown
  }
  return hash
}

const named = (interpreter: Interpreter, {kind, name, line}: Extract<Expression, {kind: 'name' | 'variable'}>, scope: Scope): Value => {
  if (kind === 'variable') {
    const value = interpreter.globals.get(name)
    if (value !== undefined) return value
    return /^\p{Lu}/u.test(name) ? {is: 'constant', name} : unknown
  }
  if (name === '__dir__') return ownDirectory
  if (name === '__FILE__') return ownFile
  const value = find(scope, name)
  return value === undefined ? call(interpreter, {kind: 'call', receiver: undefined, name, args: [], block: undefined, line}, scope) : value
}

const assignment = (interpreter: Interpreter, {target, operator, value, line}: Assignment, scope: Scope): Value => {
  const given = (): Value => interpreter.evaluate(value, scope)
  switch (target.kind) {
    case 'name': {
      const next = updated(operator, find(scope, target.name), given)
      assign(scope, target.name, next)
      return next
    }
    case 'variable': {
      const next = updated(operator, interpreter.globals.get(target.name), given)
      interpreter.globals.set(target.name, next)
      return next
    }
    case 'index': {
      const holder = interpreter.evaluate(target.receiver, scope)
      const [key] = target.args.map((arg) => interpreter.evaluate(arg, scope))
      if (isTarget(holder))
        holder.settings.push({path: `${holder.path}[]`, line, args: [key ?? unknown, given()], options: new Map(), children: []})
      return setItem({holder, key: key ?? unknown}, operator, given)
    }
    case 'call': {
      const receiver = target.receiver ? interpreter.evaluate(target.receiver, scope) : unknown
      const next = operator === '=' ? given() : unknown
      if (!isTarget(receiver)) interpreter.noise.add(line)
      else receiver.settings.push({path: joinPath(receiver.path, target.name), line, args: [next], options: new Map(), children: []})
      return next
    }
    default:
      return unknown
  }
}

const joinPath = (path: string, name: string): string => (path === '' ? name : `${path}.${name}`)

const updated = (operator: string, before: Value | undefined, given: () => Value): Value => {
  if (operator === '=') return given()
  if (operator !== '||=' && operator !== '&&=') return operate(operator.slice(0, -1), before ?? null, given())
  const isTrue = truth(before ?? null)
  if (isTrue === undefined) return unknown
  return isTrue === (operator === '&&=') ? given() : (before ?? null)
}

interface Place {
  readonly holder: Value
  readonly key: Value
}

const setItem = ({holder, key}: Place, operator: string, given: () => Value): Value => {
  const next = updated(operator, lookUp(holder, key), given)
  if (holder instanceof Map && isKey(key)) holder.set(key, next)
  else if (Array.isArray(holder) && typeof key === 'number' && key >= 0 && key <= holder.length) holder[key] = next
  else if (holder instanceof Map || Array.isArray(holder)) spoil(holder)
  return isUnknown(next) ? unknown : next
}
