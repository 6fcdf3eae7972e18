import {vmfile} from '../src/vmfile/schema.ts'
import type {Block, Choice, Field, Kind, List, Pairs, Shape} from '../src/vmfile/shapes.ts'
import {cell, header} from './docs-errors.ts'

type AnyBlock = Block
type AnyChoice = Choice
type Leaf = Field<unknown> | List<unknown> | Pairs<unknown>

const isBlock = (shape: Shape): shape is AnyBlock => shape.shape === 'block'
const isChoice = (shape: Shape): shape is AnyChoice => shape.shape === 'choice'
const isLeaf = (shape: Shape): shape is Leaf => !isBlock(shape) && !isChoice(shape)

/** The reference of the language, from the table that the parser itself interprets. */
export const vmfilePage = (): string => {
  const vm: AnyBlock = vmfile.fields.vm
  const nodes = Object.entries(vm.fields)
  return `${header('src/vmfile/schema.ts')}
# VMFile reference

The grammar, node by node. The [guide](../vmfile.md) explains it with examples.

A VMFile holds one or more \`vm\` blocks. An unknown node, a missing or superfluous value, a wrong type and a repeated node are errors.
Every field of a block can be written as a child or as a property of its node: \`network "tap" { bridge "br0"; }\` and \`network "tap" bridge="br0"\` mean the same.

**Values.** *size*: an integer in the unit of the node, or a text with a binary unit such as \`"512M"\` or \`"20GiB"\`. *duration*: an integer in seconds, or a text such as \`"90s"\`, \`"2m30s"\` or \`"500ms"\`. *boolean*: \`#true\` or \`#false\`. *path*: relative to the directory of the VMFile; \`~\` is the home directory. *list*: several values in one node, or the node several times.

## vm

${vm.doc}

\`\`\`text
vm "NAME" {
${nodes.map(([name, shape]) => `    ${outline(name, shape)}`).join('\n')}
}
\`\`\`

| node | value | default | |
|---|---|---|---|
| *(argument)* | ${valueOf(vm.argument?.kind)} | *required* | ${cell(vm.argument?.doc ?? '')} |
${nodes
  .filter(([, shape]) => isLeaf(shape))
  .map(([name, shape]) => row(name, shape as Leaf))
  .join('\n')}

A VM needs exactly one of \`image\` and \`image-url\`. A VM with \`provision\` needs an \`ssh\` block.

${nodes
  .filter(([, shape]) => !isLeaf(shape))
  .map(([name, shape]) => (isBlock(shape) ? blockSection(name, shape) : choiceSection(name, shape as AnyChoice)))
  .join('\n')}`
}

const outline = (name: string, shape: Shape): string => {
  const node = outlineOf(name, shape)
  return `${node.padEnd(36)}// ${shape.doc}`
}

const outlineOf = (name: string, shape: Shape): string => {
  if (isBlock(shape)) {
    const argument = shape.argument ? ` ${shape.argument.kind.example}` : ''
    return `${name}${argument}${Object.keys(shape.fields).length > 0 && !shape.argument ? ' { … }' : ''}`
  }
  if (isChoice(shape)) return `${name} "${shape.default}"${shape.repeatable ? ' { … }' : ''}`
  return `${name} ${(shape as Leaf).kind.example}`
}

const blockSection = (name: string, {doc, argument, fields, repeatable}: AnyBlock): string => {
  const rows = [
    ...(argument ? [row('*(argument)*', argument)] : []),
    ...Object.entries(fields).map(([key, shape]) => row(key, shape as Leaf)),
  ]
  return `## ${name}\n\n${doc}${repeatable ? ' May be repeated.' : ''}\n\n| field | value | default | |\n|---|---|---|---|\n${rows.join('\n')}\n`
}

const choiceSection = (name: string, shape: AnyChoice): string => {
  const types = Object.keys(shape.variants).map((type) => `\`"${type}"\``)
  const intro = `${shape.doc}${shape.repeatable ? ' May be repeated.' : ''} The argument is the type: ${types.join(', ')}${shape.extensible ? ', or one that a [plugin](../extending.md) brings' : ''}. Default: \`"${shape.default}"\`.`
  const variants = Object.entries(shape.variants).map(([type, fields]) => {
    const keys = Object.entries(fields)
    const title = `### ${name} "${type}"`
    if (keys.length === 0) return `${title}\n\nNo fields.\n`
    return `${title}\n\n| field | value | default | |\n|---|---|---|---|\n${keys.map(([key, field]) => row(key, field as Leaf)).join('\n')}\n`
  })
  return `## ${name}\n\n${intro}\n\n${variants.join('\n')}`
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
  return `\`${JSON.stringify(shape.default)}\``
}
