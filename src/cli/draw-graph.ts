import type {Graph} from '../engine/show/graph.ts'

/** Each VM with what it waits for, those first that wait for nothing. */
export const graphText = ({levels, edges}: Graph): string =>
  levels
    .flat()
    .flatMap((name) => [name, ...edges.filter(({from}) => from === name).map(({to, condition}) => `  waits for ${to} (${condition})`)])
    .join('\n')

/** A Mermaid flowchart; names stand in quotes, because a dot or a dash means something to Mermaid. */
export const graphMermaid = ({levels, edges}: Graph): string => {
  const names = levels.flat()
  const id = (name: string): string => `n${names.indexOf(name)}`
  return [
    'flowchart LR',
    ...names.map((name) => `  ${id(name)}["${name}"]`),
    ...edges.map(({from, to, condition}) => `  ${id(to)} -->|${condition}| ${id(from)}`),
  ].join('\n')
}

const box = {width: 160, height: 36, gapX: 110, gapY: 20, margin: 16} as const

/** A picture: time runs to the right, each VM stands behind what it waits for. */
export const graphSvg = ({levels, edges}: Graph): string => {
  const place = new Map(levels.flatMap((names, column) => names.map((name, row) => [name, {x: left(column), y: top(row)}] as const)))
  const width = left(levels.length) - box.gapX + box.margin
  const height = top(Math.max(...levels.map((names) => names.length))) - box.gapY + box.margin
  const lines = edges.flatMap(({from, to, condition}) => {
    const [a, b] = [place.get(to), place.get(from)]
    if (!a || !b) return []
    const [x1, y1, x2, y2] = [a.x + box.width, a.y + box.height / 2, b.x, b.y + box.height / 2]
    const middle = (x1 + x2) / 2
    return [
      `<path d="M${x1} ${y1} C${middle} ${y1} ${middle} ${y2} ${x2 - 6} ${y2}" fill="none" stroke="#888" marker-end="url(#arrow)"/>`,
      `<text x="${middle}" y="${(y1 + y2) / 2 - 5}" text-anchor="middle" font-size="11" fill="#888">${condition}</text>`,
    ]
  })
  const boxes = [...place].flatMap(([name, {x, y}]) => [
    `<rect x="${x}" y="${y}" width="${box.width}" height="${box.height}" rx="6" fill="#eef3fb" stroke="#4a78b5"/>`,
    `<text x="${x + box.width / 2}" y="${y + box.height / 2 + 5}" text-anchor="middle" font-size="14">${shorten(name)}</text>`,
  ])
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="sans-serif">
<defs><marker id="arrow" viewBox="0 0 10 10" refX="5" refY="5" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0L10 5L0 10z" fill="#888"/></marker></defs>
${[...lines, ...boxes].join('\n')}
</svg>`
}

const left = (column: number): number => box.margin + column * (box.width + box.gapX)
const top = (row: number): number => box.margin + row * (box.height + box.gapY)

const shorten = (name: string): string => (name.length > 20 ? `${name.slice(0, 19)}…` : name)
