import type {Graph} from '../engine/show/graph.ts'
import {cut, wrap} from './display-width.ts'
import {type Boxes, boxesOf, type GraphBox, titleOf} from './graph-boxes.ts'
import {paint, type Screen} from './screen.ts'

/**
 * A tree of each VM that nothing waits for, with what it waits for below it, and the order in which all of them start. What is
 * below a VM that stands there twice is drawn once.
 */
export const graphText = (graph: Graph, screen: Screen = {colour: false}): string => {
  const boxes = boxesOf(graph)
  const {levels, edges} = boxes
  const waitedFor = new Set(edges.map(({to}) => to))
  const drawn = new Set<string>()
  const roots = levels.flat().filter(({name}) => !waitedFor.has(name))
  const {width = Infinity} = screen
  const trees = roots.flatMap((root) => [cut(titleOf(root), width), ...branches(root, {boxes, drawn, screen})])
  if (edges.length === 0) return trees.join('\n')
  const inOrder = levels.flatMap((level, index) => {
    const [first, ...more] = wrap(level.map(titleOf).join(', '), width - orderIndent.length)
    return [`${`${index + 1}.`.padStart(4)} ${first}`, ...more.map((line) => `${orderIndent}${line}`)]
  })
  return [...trees, '', 'Start order:', ...inOrder].join('\n')
}

const orderIndent = ' '.repeat(5)

interface Drawing {
  readonly boxes: Boxes
  /** Boxes whose branches are drawn already. */
  readonly drawn: Set<string>
  readonly screen: Screen
}

const branches = ({name}: GraphBox, drawing: Drawing): readonly string[] => {
  const {boxes, drawn, screen} = drawing
  const {width = Infinity} = screen
  drawn.add(name)
  const known = new Map(boxes.levels.flat().map((one) => [one.name, one]))
  const below = boxes.edges.filter(({from}) => from === name)
  return below.flatMap(({to, condition}, index) => {
    const box = known.get(to)
    if (!box) return []
    const isAgain = drawn.has(to) && boxes.edges.some(({from}) => from === to)
    const [branch, indent] = index === below.length - 1 ? ['└── ', '    '] : ['├── ', '│   ']
    const title = `${branch}${titleOf(box)}`
    const note = ` (${condition})${isAgain ? ' (see above)' : ''}`
    const shown = cut(title + note, width)
    return [
      shown.startsWith(title) ? title + paint('dim', shown.slice(title.length), screen) : shown,
      ...(isAgain ? [] : branches(box, {...drawing, screen: {...screen, width: width - indent.length}}).map((line) => `${indent}${line}`)),
    ]
  })
}

/** A Mermaid flowchart; names stand in quotes, because a dot or a dash means something to Mermaid. */
export const graphMermaid = (graph: Graph): string => {
  const {levels, edges} = boxesOf(graph)
  const boxes = levels.flat()
  const id = (name: string): string => `n${boxes.findIndex((box) => box.name === name)}`
  return [
    'flowchart LR',
    ...boxes.map((box) => `  ${id(box.name)}["${titleOf(box).replaceAll('"', '#quot;')}"]`),
    ...edges.map(({from, to, condition}) => `  ${id(to)} -->|${condition}| ${id(from)}`),
  ].join('\n')
}
