import type {Block, Body, Call, Expression} from '../parse/ast.ts'
import {formatText} from './format.ts'
import {pathFunction} from './host-paths.ts'
import {bind, forget, innerScope, type Interpreter, Jump, lastLineOf, type Scope, touches} from './interpreter.ts'
import {conditional} from './branches.ts'
import {callMethod} from './methods.ts'
import {
  isConstant,
  isTarget,
  isUnknown,
  itemsOf,
  rangeItems,
  type Setting,
  type Target,
  toText,
  truth,
  unknown,
  type Value,
} from './values.ts'

/** A method: of Vagrant, of a value, or of the file itself. */
export const call = (interpreter: Interpreter, expression: Call, scope: Scope): Value => {
  if (!expression.receiver) return callFunction(interpreter, expression, scope)
  const receiver = interpreter.evaluate(expression.receiver, scope)
  if (isTarget(receiver)) return set(interpreter, {expression, target: receiver}, scope)
  if (isConstant(receiver) && ['Vagrant', 'Vagrant::Config'].includes(receiver.name)) return ofVagrant(interpreter, expression, scope)
  if (expression.block) return callWithBlock(interpreter, {expression, receiver}, scope)
  const args = argumentsOf(interpreter, expression.args, scope)
  if (isConstant(receiver)) return ofConstant(interpreter, {expression, name: `${receiver.name}.${expression.name}`}, args)
  // `method(:name)`, `send` and the like may do anything with what they get.
  if (args.some(isTarget)) interpreter.warnings.atLine(expression.line, misunderstood)
  return callMethod(receiver, expression.name, args)
}

const misunderstood = 'this Ruby is not understood, and what it sets is left out'

const argumentsOf = (interpreter: Interpreter, args: readonly Expression[], scope: Scope): Value[] =>
  args.flatMap((arg) => {
    const value = interpreter.evaluate(arg.kind === 'splat' ? arg.value : arg, scope)
    if (arg.kind !== 'splat') return [value]
    return Array.isArray(value) ? value : [unknown]
  })

const ofConstant = (interpreter: Interpreter, {expression, name}: {expression: Call; name: string}, args: readonly Value[]): Value => {
  if (name === 'ENV.fetch' && args[1] !== undefined) {
    interpreter.warnings.atLine(expression.line, 'environment variables are not asked: the default stands in their place')
    return args[1]
  }
  return pathFunction(name, args) ?? unknown
}

interface Setter {
  readonly expression: Call
  readonly target: Target
}

const set = (interpreter: Interpreter, {expression, target}: Setter, scope: Scope): Value => {
  const path = target.path === '' ? expression.name : `${target.path}.${expression.name}`
  if (expression.args.length === 0 && !expression.block) return {is: 'target', path, settings: target.settings}
  const args = argumentsOf(interpreter, expression.args, scope)
  const options = args.at(-1)
  const hasOptions = options instanceof Map
  const children: Setting[] = []
  target.settings.push({
    path,
    line: expression.line,
    args: hasOptions ? args.slice(0, -1) : args,
    options: new Map(hasOptions ? [...options].map(([key, value]) => [toText(key) ?? '', value]) : []),
    children,
  })
  if (expression.block) runSettings(interpreter, {block: expression.block, children}, scope)
  return null
}

/** The second parameter of a provider's block (`override`) makes settings for that provider alone. */
const runSettings = (interpreter: Interpreter, {block, children}: {block: Block; children: Setting[]}, scope: Scope): void => {
  const inner = innerScope(scope)
  const [first, second] = block.params
  if (typeof first === 'string') inner.values.set(first, {is: 'target', path: '', settings: children})
  if (typeof second === 'string') inner.values.set(second, {is: 'target', path: 'override', settings: children})
  runRound(interpreter, block, inner)
}

const ofVagrant = (interpreter: Interpreter, expression: Call, scope: Scope): Value => {
  if (expression.name === 'require_version') return null
  if (!['configure', 'run'].includes(expression.name) || !expression.block) return unknown
  runSettings(interpreter, {block: expression.block, children: interpreter.settings}, scope)
  return null
}

/** Runs a block once. True when the loop that it belongs to is over. */
const runRound = (interpreter: Interpreter, {body}: Block, scope: Scope): boolean => {
  try {
    interpreter.runBody(body, scope)
    return false
  } catch (error) {
    if (!(error instanceof Jump) || error.word === 'return' || error.word === 'stop') throw error
    if (error.word !== 'uncertain') return error.word === 'break'
    const after = body.statements.filter(({line}) => line > error.line)
    if (touches(interpreter, after, scope)) interpreter.warnings.atLine([error.line, body.lastLine], conditional)
    forget(interpreter, after, scope)
    return true
  }
}

interface OnValue {
  readonly expression: Call
  readonly receiver: Value
}

const callWithBlock = (interpreter: Interpreter, on: OnValue, scope: Scope): Value => {
  const {expression, receiver} = on
  const {block} = expression
  const args = argumentsOf(interpreter, expression.args, scope)
  if (isConstant(receiver) && receiver.name === 'ENV' && expression.name === 'fetch' && block) return interpreter.runBody(block.body, scope)
  const rounds = roundsOf(receiver, expression.name, args)
  if (!block || !rounds || rounds.some(isUnknown)) return leaveOut(interpreter, expression, scope)
  if (touches(interpreter, block.body.statements, scope))
    interpreter.switched.set(block.body, rounds.length > 0 || interpreter.switched.get(block.body) === true)
  return runRounds(interpreter, {on, block, rounds}, scope)
}

interface Rounds {
  readonly on: OnValue
  readonly block: Block
  readonly rounds: readonly Value[]
}

const runRounds = (interpreter: Interpreter, {on: {expression, receiver}, block, rounds}: Rounds, scope: Scope): Value => {
  if (selecting.has(expression.name)) return selected(interpreter, {block, rounds, keeps: expression.name !== 'reject'}, scope)
  if (expression.name === 'map' || expression.name === 'collect') return mapped(interpreter, {block, rounds}, scope)
  for (const round of rounds) {
    const inner = innerScope(scope)
    bind(inner, block.params, round)
    if (runRound(interpreter, block, inner)) break
  }
  return receiver
}

const selecting: ReadonlySet<string> = new Set(['select', 'filter', 'reject'])

interface Selecting {
  readonly block: Block
  readonly rounds: readonly Value[]
  readonly keeps: boolean
}

/** A list of those for which the block says yes (or no); unknown as soon as one answer is. */
const selected = (interpreter: Interpreter, {block, rounds, keeps}: Selecting, scope: Scope): Value => {
  const answers = mapped(interpreter, {block, rounds}, scope)
  const known = Array.isArray(answers) ? answers.map(truth) : []
  return known.includes(undefined) ? unknown : rounds.filter((_, index) => known[index] === keeps)
}

const mapped = (interpreter: Interpreter, {block, rounds}: {block: Block; rounds: readonly Value[]}, scope: Scope): Value =>
  rounds.map((round) => {
    const inner = innerScope(scope)
    bind(inner, block.params, round)
    try {
      return interpreter.runBody(block.body, inner)
    } catch (error) {
      if (error instanceof Jump && error.word === 'next') return error.value
      if (error instanceof Jump && error.word === 'uncertain') return unknown
      throw error
    }
  })

/** What a block gets in each round; undefined when that is not known. */
const roundsOf = (receiver: Value, name: string, args: readonly Value[]): Value[] | undefined => {
  const items = itemsOf(receiver)
  const [first] = args
  switch (name) {
    case 'each':
    case 'each_pair':
    case 'map':
    case 'collect':
      return items
    case 'select':
    case 'filter':
    case 'reject':
      return receiver instanceof Map ? undefined : items
    case 'each_with_index':
      return items?.map((item, index) => [item, index])
    case 'with_index':
    case 'each_key':
    case 'each_value':
      return name === 'with_index'
        ? items?.map((item, index) => [item, index + (typeof first === 'number' ? first : 0)])
        : items?.map((item) => (Array.isArray(item) ? (item[name === 'each_key' ? 0 : 1] ?? null) : unknown))
    case 'times':
      return typeof receiver === 'number' ? rangeItems({is: 'range', from: 0, to: receiver, isOpen: true}) : undefined
    case 'upto':
      return rangeItems({is: 'range', from: receiver, to: first ?? unknown, isOpen: false})
    case 'downto':
      return rangeItems({is: 'range', from: first ?? unknown, to: receiver, isOpen: false})?.toReversed()
    default:
      return undefined
  }
}

const leaveOut = (interpreter: Interpreter, expression: Call, scope: Scope): Value => {
  if (touches(interpreter, [expression], scope)) {
    interpreter.warnings.atLine(
      [expression.line, lastLineOf(expression)],
      expression.block
        ? 'this loop or block depends on values that are not in the file, and what it sets is left out; write its settings out'
        : misunderstood,
    )
  } else for (let line = expression.line; line <= lastLineOf(expression); line++) interpreter.noise.add(line)
  forget(interpreter, [expression], scope)
  return unknown
}

/** Ruby that changes nothing of what the file sets. */
const harmless: ReadonlySet<string> = new Set(['require', 'private', 'include', 'extend', 'using'])
const loading: ReadonlySet<string> = new Set(['load', 'require_relative', 'eval', 'instance_eval'])
const ending: ReadonlySet<string> = new Set(['abort', 'exit', 'exit!', 'raise', 'fail'])

const callFunction = (interpreter: Interpreter, expression: Call, scope: Scope): Value => {
  const {name, line} = expression
  const definition = interpreter.functions.get(name)
  const args = argumentsOf(interpreter, expression.args, scope)
  if (definition) {
    interpreter.called.add(name)
    if (!definition.params || expression.block || args.length > definition.params.length) return leaveOut(interpreter, expression, scope)
    const inner = {values: new Map(definition.params.map((param, index) => [param, args[index] ?? null])), around: undefined}
    return runFunction(interpreter, definition.body, inner)
  }
  if (ending.has(name)) throw new Jump('stop', line)
  return callKnown(interpreter, {expression, args}, scope)
}

interface Applied {
  readonly expression: Call
  readonly args: readonly Value[]
}

/** Functions that every Ruby program has. */
const callKnown = (interpreter: Interpreter, {expression, args}: Applied, scope: Scope): Value => {
  const {name, line} = expression
  const [first = null, ...more] = args
  if (loading.has(name)) {
    interpreter.warnings.atLine(line, 'the file that is loaded here is not read: import what it sets, too, or write it out')
    return null
  }
  if (harmless.has(name)) return null
  if (name === 'format' || name === 'sprintf') return typeof first === 'string' ? formatText(first, more) : unknown
  if (name === 'Integer') return callMethod(first, 'to_i', [])
  if (name === 'String') return callMethod(first, 'to_s', [])
  if (expression.block || args.some(isTarget)) return leaveOut(interpreter, expression, scope)
  return unknown
}

const runFunction = (interpreter: Interpreter, body: Body, scope: Scope): Value => {
  try {
    return interpreter.runBody(body, scope)
  } catch (error) {
    if (!(error instanceof Jump) || error.word !== 'return') {
      if (!(error instanceof Jump) || error.word !== 'uncertain') throw error
      const after = body.statements.filter(({line}) => line > error.line)
      if (touches(interpreter, after, scope)) interpreter.warnings.atLine([error.line, body.lastLine], conditional)
      return unknown
    }
    return error.value
  }
}
