import type {Graph} from '../engine/show/graph.ts'
import {cut, displayWidth} from './display-width.ts'
import {boxesOf, type GraphBox, titleOf} from './graph-boxes.ts'
import {type Item, layOut, type Place} from './graph-layout.ts'

/** In pixels. The letters of a monospaced font are 0.6 em wide, so that the width of a text is known. */
const size = {
  name: 14,
  label: 11,
  letter: 0.602,
  padX: 14,
  boxHeight: 36,
  labelHeight: 16,
  passHeight: 4,
  stack: 5,
  longestName: 40,
} as const
const spacing = {gapX: 28, gapY: 14, margin: 16} as const

const style = `text{font-family:ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace;text-anchor:middle}
.name{font-size:${size.name}px;fill:#1b2a41}.label{font-size:${size.label}px;fill:#6b7280}
.box{fill:#eef3fb;stroke:#4a78b5}.line{fill:none;stroke:#8a919c}.tip{fill:#8a919c}
@media (prefers-color-scheme:dark){.name{fill:#e6edf7}.label{fill:#a3acb9}.box{fill:#1d2a3d;stroke:#7aa7e0}}`

/** An item that stands for a box, for the label of an edge, or for an edge that passes a column. */
interface Drawn extends Omit<Item, 'before' | 'after'> {
  readonly box?: GraphBox
  readonly label?: string
  readonly before: number[]
  readonly after: number[]
}

interface Point {
  readonly x: number
  readonly y: number
}

const textWidth = (text: string, fontSize: number): number => Math.ceil(displayWidth(text) * fontSize * size.letter)

const shown = (box: GraphBox): string => cut(titleOf(box), size.longestName)

const stackOf = ({members}: GraphBox): number => (members.length > 1 ? size.stack : 0)

/** Boxes stand in every second column, labels in those between; an edge has an item in every column that it passes. */
const itemsOf = (graph: Graph): readonly Drawn[] => {
  const {levels, edges} = boxesOf(graph)
  const items: Drawn[] = levels.flatMap((boxes, level) =>
    boxes.map((box) => ({...sizeOf(box), column: 2 * level, box, before: [], after: []})),
  )
  const known = new Map(items.flatMap((item, index) => (item.box ? [[item.box.name, index] as const] : [])))
  for (const {from, to, condition} of edges) {
    const [start, end] = [known.get(to), known.get(from)]
    if (start !== undefined && end !== undefined) join(items, {start, end, label: condition})
  }
  return items
}

const sizeOf = (box: GraphBox): Pick<Item, 'width' | 'height'> => ({
  width: textWidth(shown(box), size.name) + 2 * size.padX + 2 * stackOf(box),
  height: size.boxHeight + 2 * stackOf(box),
})

/** Leads an edge through all columns between two boxes; its label stands in the last of them. */
const join = (items: Drawn[], {start, end, label}: {readonly start: number; readonly end: number; readonly label: string}): void => {
  const last = items[end]?.column ?? 0
  const connect = (one: number, other: number): void => {
    items[one]?.after.push(other)
    items[other]?.before.push(one)
  }
  let previous = start
  for (let column = (items[start]?.column ?? 0) + 1; column < last; column++) {
    const look =
      column === last - 1 ? {width: textWidth(label, size.label) + 8, height: size.labelHeight, label} : {width: 0, height: size.passHeight}
    const next = items.push({...look, column, before: [], after: []}) - 1
    connect(previous, next)
    previous = next
  }
  connect(previous, end)
}

/** A picture: time runs to the right, each VM stands behind what it waits for. */
export const graphSvg = (graph: Graph): string => {
  const items = itemsOf(graph)
  const {places, width, height} = layOut(items, spacing)
  const widest = items.reduce<number[]>((all, {column, width: own}) => {
    all[column] = Math.max(all[column] ?? 0, own)
    return all
  }, [])
  const at = (index: number): {readonly item: Drawn; readonly left: number; readonly right: number; readonly y: number} | undefined => {
    const [item, place] = [items[index], places[index]]
    return item && place && {item, y: place.y, ...edgesOf(item, place, widest[item.column] ?? 0)}
  }
  const drawn = items.flatMap((_, index) => at(index) ?? [])
  const lines = drawn.flatMap(({item, left, right, y}) => [
    ...(item.box || item.label !== undefined ? [] : [line({x: left, y}, {x: right, y})]),
    ...item.after.flatMap((index) => {
      const next = at(index)
      return next
        ? [curve({x: right, y}, {x: next.left + (next.item.box ? stackOf(next.item.box) : 0), y: next.y}, next.item.box !== undefined)]
        : []
    }),
  ])
  const texts = drawn.flatMap(({item, left, right, y}) => {
    if (item.box) return drawBox(item.box, {left, right, y})
    return item.label === undefined ? [] : [text('label', {x: (left + right) / 2, y}, item.label)]
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${round(width)}" height="${round(height)}" viewBox="0 0 ${round(width)} ${round(height)}" role="img">
<title>Which VM waits for which</title>
<style>${style}</style>
<defs><marker id="tip" viewBox="0 0 10 10" refX="10" refY="5" markerWidth="8" markerHeight="8" orient="auto"><path class="tip" d="M0 0L10 5L0 10z"/></marker></defs>
${[...lines, ...texts].join('\n')}
</svg>`
}

/** A label is as wide as its text; boxes, and what only passes, fill the column. */
const edgesOf = ({label, width}: Drawn, {x}: Place, column: number): {readonly left: number; readonly right: number} => {
  if (label === undefined) return {left: x, right: x + column}
  const left = x + (column - width) / 2
  return {left, right: left + width}
}

const drawBox = (box: GraphBox, {left, right, y}: {left: number; right: number; y: number}): readonly string[] => {
  const stack = stackOf(box)
  const rect = (shift: number): string =>
    `<rect class="box" x="${round(left + stack + shift)}" y="${round(y - size.boxHeight / 2 - shift)}" width="${round(right - left - 2 * stack)}" height="${size.boxHeight}" rx="6"/>`
  const members = box.members.length > 1 || shown(box) !== box.name ? `<title>${escaped(box.members.join(', '))}</title>` : ''
  return [
    `<g>${members}${stack === 0 ? rect(0) : `${rect(stack)}${rect(0)}`}`,
    `${text('name', {x: (left + right) / 2, y}, shown(box))}</g>`,
  ]
}

const text = (kind: 'name' | 'label', {x, y}: Point, content: string): string =>
  `<text class="${kind}" x="${round(x)}" y="${round(y)}" dy="0.35em">${escaped(content)}</text>`

const line = (from: Point, to: Point): string => `<path class="line" d="M${round(from.x)} ${round(from.y)}L${round(to.x)} ${round(to.y)}"/>`

const curve = (from: Point, to: Point, hasTip: boolean): string => {
  const middle = round((from.x + to.x) / 2)
  const [y1, y2] = [round(from.y), round(to.y)]
  return `<path class="line" d="M${round(from.x)} ${y1}C${middle} ${y1} ${middle} ${y2} ${round(to.x)} ${y2}"${hasTip ? ' marker-end="url(#tip)"' : ''}/>`
}

const round = (pixels: number): number => Math.round(pixels * 10) / 10

const entities: Readonly<Record<string, string>> = {'&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&apos;'}

const escaped = (content: string): string => content.replaceAll(/[&<>"']/g, (character) => entities[character] ?? character)
