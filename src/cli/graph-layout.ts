/** A thing that stands in a column of a layered drawing: a box, a label, or an edge that only passes. */
export interface Item {
  readonly column: number
  readonly width: number
  readonly height: number
  /** Items of the columns next to this one that a line leads to. */
  readonly before: readonly number[]
  readonly after: readonly number[]
}

export interface Place {
  /** The left edge of its column. */
  readonly x: number
  /** Its middle. */
  readonly y: number
}

export interface Spacing {
  readonly gapX: number
  readonly gapY: number
  readonly margin: number
}

const rounds = 12

/**
 * Places items in columns, so that no two overlap: those of a column stand below each other with a gap, the columns beside each
 * other, and neighbours as near as that allows.
 */
export const layOut = (
  items: readonly Item[],
  spacing: Spacing,
): {readonly places: readonly Place[]; readonly width: number; readonly height: number} => {
  const columns = order(items)
  const ys = heights(items, columns, spacing)
  const top = Math.min(...items.map(({height}, index) => (ys[index] ?? 0) - height / 2), 0)
  const bottom = Math.max(...items.map(({height}, index) => (ys[index] ?? 0) + height / 2), 0)
  const lefts: number[] = []
  let x = spacing.margin
  for (const column of columns) {
    lefts.push(x)
    x += Math.max(0, ...column.map((index) => items[index]?.width ?? 0)) + spacing.gapX
  }
  return {
    places: items.map(({column}, index) => ({x: lefts[column] ?? 0, y: (ys[index] ?? 0) - top + spacing.margin})),
    width: x - (columns.length > 0 ? spacing.gapX : 0) + spacing.margin,
    height: bottom - top + 2 * spacing.margin,
  }
}

type Columns = readonly (readonly number[])[]

const mean = (numbers: readonly number[]): number | undefined => (numbers.length === 0 ? undefined : sum(numbers) / numbers.length)

/** Each column by the mean position of its neighbours, to and fro; the order with the fewest crossings is kept. */
const order = (items: readonly Item[]): Columns => {
  const count = Math.max(-1, ...items.map(({column}) => column)) + 1
  let columns: Columns = Array.from({length: count}, (_, at) => items.flatMap(({column}, index) => (column === at ? [index] : [])))
  let best = {columns, crossings: crossings(items, columns)}
  for (let round = 0; round < rounds && best.crossings > 0; round++) {
    const direction = round % 2 === 0 ? 'before' : 'after'
    const position = new Map(columns.flatMap((column) => column.map((index, at) => [index, at] as const)))
    const inTurn = direction === 'before' ? columns.keys().toArray() : columns.keys().toArray().toReversed()
    const next = columns.map((column) => [...column])
    for (const at of inTurn) {
      const wish = (index: number): number =>
        mean((items[index]?.[direction] ?? []).map((one) => position.get(one) ?? 0)) ?? position.get(index) ?? 0
      const sorted = (columns[at] ?? []).toSorted((one, other) => wish(one) - wish(other))
      sorted.forEach((index, place) => position.set(index, place))
      next[at] = sorted
    }
    columns = next
    const found = crossings(items, columns)
    if (found < best.crossings) best = {columns, crossings: found}
  }
  return best.columns
}

const crossings = (items: readonly Item[], columns: Columns): number => {
  const position = new Map(columns.flatMap((column) => column.map((index, at) => [index, at] as const)))
  const counts = columns.map((column) => {
    const lines = column.flatMap((index, at) => (items[index]?.after ?? []).map((other) => [at, position.get(other) ?? 0] as const))
    return sum(lines.map(([a, b], index) => lines.slice(index + 1).filter(([c, d]) => (a - c) * (b - d) < 0).length))
  })
  return sum(counts)
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0)

const heights = (items: readonly Item[], columns: Columns, {gapY}: Spacing): readonly number[] => {
  const ys: number[] = items.map(() => 0)
  const place = (column: readonly number[], wish: (item: Item, index: number) => number): void => {
    const sizes = column.map((index) => items[index]?.height ?? 0)
    const wishes = column.map((index) => {
      const item = items[index]
      return item ? wish(item, index) : 0
    })
    spread(wishes, sizes, gapY).forEach((y, at) => (ys[column[at] ?? 0] = y))
  }
  for (const column of columns) place(column, () => 0)
  for (let round = 0; round < rounds; round++) {
    const isForth = round % 2 === 0
    for (const column of isForth ? columns : columns.toReversed()) {
      place(column, ({before, after}, index) => mean((isForth ? before : after).map((one) => ys[one] ?? 0)) ?? ys[index] ?? 0)
    }
  }
  return ys
}

/**
 * Middles as near to the wished ones as order and sizes allow, by least squares: things that would overlap become a block, which
 * stands at the mean of what its members wish.
 */
const spread = (wishes: readonly number[], sizes: readonly number[], gap: number): readonly number[] => {
  const offsets: number[] = []
  let below = 0
  for (const size of sizes) {
    offsets.push(below + size / 2)
    below += size + gap
  }
  const blocks: {total: number; count: number}[] = []
  for (const [at, wish] of wishes.entries()) {
    let block = {total: wish - (offsets[at] ?? 0), count: 1}
    for (let last = blocks.at(-1); last && last.total / last.count > block.total / block.count; last = blocks.at(-1)) {
      block = {total: block.total + last.total, count: block.count + last.count}
      blocks.pop()
    }
    blocks.push(block)
  }
  return blocks.flatMap(({total, count}) => Array.from({length: count}, () => total / count)).map((shift, at) => shift + (offsets[at] ?? 0))
}
