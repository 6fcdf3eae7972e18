/** A node of a KDL document, as far as a VMFile needs it. */
export interface KdlNode {
  readonly name: string
  readonly args: readonly KdlValue[]
  readonly props?: Readonly<Record<string, KdlValue>>
  readonly children?: readonly KdlNode[]
  /** Lines that stand above it. */
  readonly comment?: string
}

export type KdlValue = string | number | boolean

/** A node whose absent arguments are left out. */
export const node = (name: string, ...args: readonly (KdlValue | undefined)[]): KdlNode => ({
  name,
  args: args.filter((arg) => arg !== undefined),
})

/** A node with children. */
export const group = (name: string, args: readonly KdlValue[], children: readonly (KdlNode | undefined)[]): KdlNode => ({
  name,
  args,
  children: children.filter((child) => child !== undefined),
})

/** Prints nodes as KDL 2 (KDL Document Language 2.0.0), four blanks for a level. */
export const printKdl = (nodes: readonly KdlNode[], indent = ''): string => nodes.map((one) => printNode(one, indent)).join('')

const printNode = ({name, args, props = {}, children, comment}: KdlNode, indent: string): string => {
  const values = args.map((value) => printValue(value, indent))
  const properties = Object.entries(props).map(([key, value]) => `${printKey(key)}=${printValue(value, indent)}`)
  const head = [name, ...values, ...properties].join(' ')
  const above = (comment ?? '').split('\n').map((line) => (line === '' ? '' : `${indent}// ${line}\n`))
  const isEmpty = children?.length === 0
  const body = children === undefined ? '' : isEmpty ? ' { }' : ` {\n${printKdl(children, `${indent}    `)}${indent}}`
  return `${above.join('')}${indent}${head}${body}\n`
}

const printKey = (key: string): string => (/^[A-Za-z_][\w-]*$/.test(key) ? key : printString(key))

const printValue = (value: KdlValue, indent: string): string => {
  if (typeof value === 'boolean') return value ? '#true' : '#false'
  if (typeof value === 'number') return String(value)
  return value.includes('\n') ? printLines(value, `${indent}    `) : printString(value)
}

/** Controls, and what KDL forbids in a document (section 3.19, "Disallowed Literal Code Points"), as escapes. */
const escapeText = (text: string): string =>
  text.replaceAll('\\', String.raw`\\`).replaceAll(/[\p{Cc}\u200E\u200F\u2028-\u202E\u2066-\u2069\uFEFF]/gu, (character) => {
    const short = {'\n': String.raw`\n`, '\r': String.raw`\r`, '\t': String.raw`\t`}[character]
    return short ?? String.raw`\u{${(character.codePointAt(0) ?? 0).toString(16)}}`
  })

const printString = (text: string): string => `"${escapeText(text).replaceAll('"', String.raw`\"`)}"`

const printLines = (text: string, indent: string): string => {
  // A line of blanks counts as an empty one (section 3.12, "Multi-line Strings"), unless they are escaped.
  const lines = text.split('\n').map((line) =>
    escapeText(line)
      .replaceAll('"""', String.raw`\"\"\"`)
      .replace(/^ +$/, (blanks) => String.raw`\s`.repeat(blanks.length)),
  )
  return `"""\n${lines.map((line) => (line === '' ? '\n' : `${indent}${line}\n`)).join('')}${indent}"""`
}
