import {ownBackendNodes} from '../src/engine/engine.ts'
import {languageWith} from '../src/vmfile/nodes/stack.ts'
import type {Block, Choice, Field, Fields, Kind, List, Pairs, Rows, Shape} from '../src/vmfile/grammar/shapes.ts'
import {cell, header} from './docs-errors.ts'

type AnyBlock = Block
type AnyChoice = Choice
type Leaf = Field<unknown> | List<unknown> | Rows<unknown> | Pairs<unknown>

const isBlock = (shape: Shape): shape is AnyBlock => shape.shape === 'block'
const isChoice = (shape: Shape): shape is AnyChoice => shape.shape === 'choice'
const isLeaf = (shape: Shape): shape is Leaf => !isBlock(shape) && !isChoice(shape)

/** The reference of the language, from the table that the parser itself interprets. */
export const vmfilePage = (): string => {
  const {project, network, volume, vm} = languageWith(ownBackendNodes).fields
  const {defaults, ...ofProject} = project.fields
  return `${header('src/vmfile/nodes/stack.ts')}
# VMFile reference

The grammar, node by node. The [guide](../vmfile.md) explains it with examples.

A VMFile holds one or more \`vm\` blocks, and besides them what they have in common: \`project\`, \`network\` and \`volume\`. An unknown node, a missing or superfluous value, a wrong type and a repeated node are errors.
Every field of a block can be written as a child or as a property of its node: \`network "tap" { bridge "br0"; }\` and \`network "tap" bridge="br0"\` mean the same.

**Values.** *size*: an integer in the unit of the node, or a text with a binary unit such as \`"512M"\` or \`"20GiB"\`. *duration*: an integer in seconds, or a text such as \`"90s"\`, \`"2m30s"\` or \`"500ms"\`. *boolean*: \`#true\` or \`#false\`. *path*: relative to the directory of the VMFile; \`~\` is the home directory. *list*: several values in one node, or the node several times. *command*: one value is a line for the shell, several are a program and its arguments.

${blockSection('project', {...project, fields: ofProject})}
### defaults in project

${defaults.doc} It takes what \`vm\` takes, without \`image\`, \`image-url\`, \`dockerfile\`, \`replicas\` and \`depends-on\`.

${blockSection('network', network, ' at the top level')}
${blockSection('volume', volume, ' at the top level')}
## vm

${vm.doc} May be repeated.

\`\`\`text
vm "NAME" {
${Object.entries<Shape>(vm.fields)
  .map(([name, shape]) => `    ${outline(name, shape)}`)
  .join('\n')}
}
\`\`\`

${table(vm, 'node')}

A VM needs exactly one of \`image\`, \`image-url\` and a \`dockerfile\` with FROM. A VM with \`provision\` needs an \`ssh\` block.

${nodesOf(vm.fields)
  .map(([name, shape]) => (isBlock(shape) ? blockSection(name, shape) : choiceSection(name, shape as AnyChoice)))
  .join('\n')}`
}

const nodesOf = (fields: Fields): readonly (readonly [string, Shape])[] => Object.entries(fields).filter(([, shape]) => !isLeaf(shape))

const outline = (name: string, shape: Shape): string => {
  const node = outlineOf(name, shape)
  return `${node.padEnd(40)}// ${shape.doc}`
}

const outlineOf = (name: string, shape: Shape): string => {
  if (isBlock(shape)) {
    const positional = (shape.positional ?? []).map((key) => shape.fields[key] as Leaf)
    const values = [...(shape.argument ? [shape.argument] : []), ...positional].map(({kind}) => ` ${kind.example}`)
    return `${name}${values.join('')}${Object.keys(shape.fields).length > 0 && values.length === 0 ? ' { … }' : ''}`
  }
  if (isChoice(shape)) return `${name} "${shape.default}"${shape.extensible ? ' { … }' : ''}`
  if (shape.shape === 'pairs') return `${name} NAME=${shape.kind.example}`
  return `${name} ${(shape as Leaf).kind.example}`
}

const table = ({argument, fields}: AnyBlock, noun = 'field'): string => {
  const rows = [
    ...(argument ? [row('*(argument)*', argument)] : []),
    ...Object.entries(fields).flatMap(([key, shape]) => (isLeaf(shape) ? [row(key, shape)] : [])),
  ]
  return `| ${noun} | value | default | |\n|---|---|---|---|\n${rows.join('\n')}`
}

const blockSection = (name: string, shape: AnyBlock, where = ''): string => {
  const {doc, fields, repeatable, positional = [], exclusive = []} = shape
  const shown = positional.map((key) => `\`${key}\``).join(' and ')
  const notes = [
    doc,
    ...(repeatable ? ['May be repeated.'] : []),
    ...(positional.length > 0
      ? [`${shown} can also be written as ${positional.length > 1 ? 'arguments, in this order' : 'an argument'}.`]
      : []),
    ...(exclusive.length > 0 ? [`Only one of ${exclusive.map((key) => `\`${key}\``).join(', ')} can be given.`] : []),
  ]
  const inner = nodesOf(fields).map(([key, node]) => (isBlock(node) ? `\n#${blockSection(key, node, ` in ${name}`)}` : ''))
  return `## ${name}${where}\n\n${notes.join(' ')}\n\n${table(shape)}\n${inner.join('')}`
}

const choiceSection = (name: string, shape: AnyChoice): string => {
  const types = Object.keys(shape.variants).map((type) => `\`"${type}"\``)
  const more = shape.extensible
    ? ', or one that a [plugin](../extending.md) brings'
    : shape.named
      ? `, or the name of a ${shape.named.noun}`
      : ''
  const intro = `${shape.doc}${shape.repeatable ? ' May be repeated.' : ''} The argument is the type: ${types.join(', ')}${more}. Default: \`"${shape.default}"\`.`
  const variants = Object.entries(shape.variants).map(([type, fields]) => variantSection(`${name} "${type}"`, fields))
  const named = shape.named ? [variantSection(`${name} "NAME"`, shape.named.fields, shape.named.doc)] : []
  return `## ${name}\n\n${intro}\n\n${[...variants, ...named].join('\n')}`
}

const variantSection = (title: string, fields: Fields, doc?: string): string => {
  const body = Object.keys(fields).length === 0 ? 'No fields.' : table({shape: 'block', doc: '', fields})
  return `### ${title}\n\n${doc === undefined ? '' : `${doc}\n\n`}${body}\n`
}

const row = (name: string, shape: Leaf): string => {
  const shown = name.startsWith('*') ? name : `\`${name}\``
  const plural = shape.shape === 'list' ? 'list of ' : shape.shape === 'pairs' ? 'names, each with a ' : ''
  const instead = shape.shape === 'pairs' ? Object.entries(shape.instead ?? {}) : []
  const others = instead.map(([key, kind]) => `, or \`${key}=\` ${kind.type}`).join('')
  const rule = shape.shape === 'pairs' ? `${others} (${shape.keyRule})` : ''
  return `| ${shown} | ${plural}${valueOf(shape.kind)}${cell(rule)} | ${defaultOf(shape)} | ${cell(shape.doc)} |`
}

const valueOf = (kind: Kind<unknown> | undefined): string => {
  if (!kind) return ''
  const words = kind.words?.map((word) => (word.startsWith('#') ? `\`${word}\`` : `\`"${word}"\``)).join(', ')
  return cell([kind.type, words ?? kind.rule].filter((part) => part !== undefined).join(': '))
}

const defaultOf = (shape: Leaf): string => {
  if (shape.shape !== 'field') return ''
  if (shape.required) return '*required*'
  if (shape.default === undefined) return ''
  if (typeof shape.default === 'boolean') return `\`#${shape.default}\``
  if (shape.kind.type === 'size') return `\`"${Number(shape.default) / 2 ** 30}G"\``
  if (shape.kind.type === 'duration') return `\`"${Number(shape.default) / 1000}s"\``
  return `\`${JSON.stringify(shape.default)}\``
}
