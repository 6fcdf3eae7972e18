// kdljs has no types for the two objects behind its `parse`, and no `exports` map that would hide them.
declare module 'kdljs/src/parser/kdl.js' {
  import type {Document} from 'kdljs'

  interface TokenType {
    readonly name: string
  }

  /** Offsets are UTF-16; `endOffset` is that of the last unit. At the end of the text they are NaN. */
  interface Token {
    image: string
    tokenType: TokenType
    tokenTypeIdx: number
    startOffset: number
    endOffset: number
  }

  const lexer: {
    tokenize(text: string): {tokens: Token[]; errors: readonly {offset: number; length: number}[]}
  }

  const parser: {
    input: Token[]
    readonly errors: readonly {message: string; token: Token | undefined; previousToken?: Token}[]
    document(): Document
    string(): string
  }
}

declare module 'kdljs/src/parser/tokens.js' {
  import type {TokenType} from 'kdljs/src/parser/kdl.js'

  interface NamedTokenType extends TokenType {
    readonly tokenTypeIdx: number
  }

  const Boolean: NamedTokenType
  const Null: NamedTokenType
  const Unicode: NamedTokenType
  const WhiteSpace: NamedTokenType
}
