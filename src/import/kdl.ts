/** A node of a KDL document, as far as a VMFile needs it. */
export interface KdlNode {
  readonly name: string
  readonly args: readonly KdlValue[]
  readonly props?: Readonly<Record<string, KdlValue>>
  readonly children?: readonly KdlNode[]
  /** Lines that stand above it. */
  readonly comment?: string
}

/** A path of the host, relative to the directory of the imported file unless it is absolute or begins with `~`. */
export interface HostPath {
  readonly path: string
}

export type KdlValue = string | number | boolean | HostPath

export const hostPath = (path: string): HostPath => ({path})

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

/** A node with properties, without those that are absent. */
export const withProps = (one: KdlNode, props: Readonly<Record<string, KdlValue | undefined>>): KdlNode => {
  const given = Object.entries(props).filter((pair): pair is [string, KdlValue] => pair[1] !== undefined)
  return given.length === 0 ? one : {...one, props: {...one.props, ...Object.fromEntries(given)}}
}

interface Printer {
  /** Makes a path of the imported file one of the VMFile. */
  readonly rebase: (path: string) => string
}

/**
 * Prints nodes as KDL 2 (KDL Document Language 2.0.0), four blanks for a level.
 * @param rebase makes a path that starts at the imported file one that starts at the VMFile
 */
export const printKdl = (nodes: readonly KdlNode[], rebase: Printer['rebase'] = (path) => path): string => printNodes(nodes, '', {rebase})

const printNodes = (nodes: readonly KdlNode[], indent: string, printer: Printer): string =>
  nodes.map((one) => printNode(one, indent, printer)).join('')

const printNode = ({name, args, props = {}, children, comment}: KdlNode, indent: string, printer: Printer): string => {
  const values = args.map((value) => printValue(value, indent, printer))
  const properties = Object.entries(props).map(([key, value]) => `${printName(key)}=${printValue(value, indent, printer)}`)
  const head = [printName(name), ...values, ...properties].join(' ')
  const above = (comment ?? '').split('\n').map((line) => (line.trim() === '' ? '' : `${indent}// ${escapeText(line)}\n`))
  const isEmpty = children?.length === 0
  const body = children === undefined ? '' : isEmpty ? ' { }' : ` {\n${printNodes(children, `${indent}    `, printer)}${indent}}`
  return `${above.join('')}${indent}${head}${body}\n`
}

/** Words that KDL 2 has in the form `#true` and does not take without quotes (section 3.9, "Identifier String"). */
const reserved: ReadonlySet<string> = new Set(['true', 'false', 'null', 'inf', '-inf', 'nan'])

const printName = (name: string): string => (/^[A-Za-z_][\w-]*$/.test(name) && !reserved.has(name) ? name : printString(name))

const printValue = (value: KdlValue, indent: string, {rebase}: Printer): string => {
  if (typeof value === 'boolean') return value ? '#true' : '#false'
  if (typeof value === 'number') return String(value)
  const text = typeof value === 'string' ? value : rebase(value.path)
  return text.includes('\n') ? printLines(text, `${indent}    `) : printString(text)
}

/** Controls, and what KDL forbids in a document (section 3.19, "Disallowed Literal Code Points"), as escapes. */
const escapeText = (text: string): string =>
  text
    .toWellFormed()
    .replaceAll('\\', String.raw`\\`)
    .replaceAll(/[\p{Cc}\u200E\u200F\u2028-\u202E\u2066-\u2069\uFEFF]/gu, (character) => {
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
