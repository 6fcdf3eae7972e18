/** What Ruby code is made of, as far as it is understood. Lines count from 1. */
export type Expression =
  | Literal
  | {readonly kind: 'text'; readonly parts: readonly (string | Expression)[]; readonly line: number}
  | {readonly kind: 'list'; readonly items: readonly Expression[]; readonly line: number}
  | HashExpression
  /** A local variable, or a method without arguments. */
  | {readonly kind: 'name'; readonly name: string; readonly line: number}
  /** `$a`, `@a`, `A`, `A::B`. */
  | {readonly kind: 'variable'; readonly name: string; readonly line: number}
  | Call
  | Index
  | {readonly kind: 'operation'; readonly operator: string; readonly left: Expression; readonly right: Expression; readonly line: number}
  | {readonly kind: 'not'; readonly value: Expression; readonly line: number}
  | {readonly kind: 'range'; readonly from: Expression; readonly to: Expression; readonly isOpen: boolean; readonly line: number}
  | Assignment
  | Branch
  | Choice
  | Definition
  | {readonly kind: 'body'; readonly body: Body; readonly line: number}
  | Jump
  /** `*list` and `**hash`. */
  | {readonly kind: 'splat'; readonly value: Expression; readonly line: number}
  | Opaque

export interface Literal {
  readonly kind: 'value'
  /** Symbols of Ruby are symbols here. */
  readonly value: string | number | boolean | symbol | null
  readonly line: number
}

export interface HashExpression {
  readonly kind: 'hash'
  /** A pair without a value is `**hash`. */
  readonly pairs: readonly (readonly [Expression, Expression | undefined])[]
  readonly line: number
}

export interface Call {
  readonly kind: 'call'
  readonly receiver: Expression | undefined
  readonly name: string
  readonly args: readonly Expression[]
  readonly block: Block | undefined
  readonly line: number
}

export interface Index {
  readonly kind: 'index'
  readonly receiver: Expression
  readonly args: readonly Expression[]
  readonly line: number
}

export interface Assignment {
  readonly kind: 'assignment'
  readonly target: Expression
  /** `=`, `+=`, `||=`, … */
  readonly operator: string
  readonly value: Expression
  readonly line: number
}

/** `if`, `unless` (whose bodies are exchanged), `? :`, and the forms behind a statement. */
export interface Branch {
  readonly kind: 'branch'
  readonly test: Expression
  readonly yes: Body
  readonly no: Body
  readonly line: number
}

export interface Choice {
  readonly kind: 'choice'
  readonly subject: Expression | undefined
  readonly cases: readonly {readonly tests: readonly Expression[]; readonly body: Body}[]
  readonly otherwise: Body
  readonly line: number
}

export interface Definition {
  readonly kind: 'definition'
  readonly name: string
  /** Undefined for parameters that are not just names. */
  readonly params: readonly string[] | undefined
  readonly body: Body
  readonly line: number
}

export interface Jump {
  readonly kind: 'jump'
  readonly word: 'next' | 'break' | 'return'
  readonly value: Expression | undefined
  readonly line: number
}

/** Code that is not understood, with the names that it may give other values. */
export interface Opaque {
  readonly kind: 'opaque'
  readonly names: readonly string[]
  readonly code: string
  readonly line: number
  readonly lastLine: number
}

export type Param = string | readonly Param[]

export interface Block {
  readonly params: readonly Param[]
  readonly body: Body
}

export interface Body {
  readonly statements: readonly Expression[]
  readonly line: number
  readonly lastLine: number
}

/** Everything that an expression holds, itself included. */
export const within = (expression: Expression): readonly Expression[] => [expression, ...partsOf(expression).flatMap(within)]

export const withinBody = ({statements}: Body): readonly Expression[] => statements.flatMap(within)

const some = (...expressions: readonly (Expression | undefined)[]): readonly Expression[] => expressions.filter((one) => one !== undefined)

const partsOf = (expression: Expression): readonly Expression[] => {
  switch (expression.kind) {
    case 'text':
      return expression.parts.filter((part) => typeof part !== 'string')
    case 'list':
      return expression.items
    case 'hash':
      return expression.pairs.flatMap((pair) => some(...pair))
    case 'call':
      return [...some(expression.receiver), ...expression.args, ...(expression.block?.body.statements ?? [])]
    case 'index':
      return [expression.receiver, ...expression.args]
    case 'operation':
      return [expression.left, expression.right]
    case 'range':
      return [expression.from, expression.to]
    case 'assignment':
      return [expression.target, expression.value]
    case 'branch':
      return [expression.test, ...expression.yes.statements, ...expression.no.statements]
    case 'choice':
      return [
        ...some(expression.subject),
        ...expression.cases.flatMap(({tests, body}) => [...tests, ...body.statements]),
        ...expression.otherwise.statements,
      ]
    case 'definition':
    case 'body':
      return expression.body.statements
    case 'jump':
      return some(expression.value)
    case 'not':
    case 'splat':
      return [expression.value]
    case 'value':
    case 'name':
    case 'variable':
    case 'opaque':
      return []
  }
}
