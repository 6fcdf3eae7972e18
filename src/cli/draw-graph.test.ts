import {expect, test} from 'vitest'

import {makeSpec} from '../../test/support/builders.ts'
import {type Graph, graphOf} from '../engine/show/graph.ts'
import type {VmSpec} from '../model/vm.ts'
import {stripControls} from '../model/strip.ts'
import {displayWidth} from './display-width.ts'
import {graphMermaid, graphText} from './draw-graph.ts'
import {graphSvg} from './graph-svg.ts'

const draw = (...vms: readonly VmSpec[]): Graph =>
  graphOf({path: '/x/VMFile.kdl', directory: '/x', vms, networks: [], volumes: [], warnings: []})

const started = (...names: readonly string[]) => names.map((vm) => ({vm, condition: 'started'}) as const)

const web = (replica: number, change: Partial<VmSpec> = {}): VmSpec =>
  makeSpec({
    name: `shop.web-${replica}`,
    project: 'shop',
    service: 'web',
    dependsOn: [{vm: 'db', condition: 'healthy'}, ...started('cache')],
    ...change,
  })

const graph = draw(
  web(0),
  web(1),
  web(2),
  makeSpec({name: 'proxy', dependsOn: started('shop.web-0', 'shop.web-1', 'shop.web-2', 'db')}),
  makeSpec({name: 'db', dependsOn: started('disk')}),
  makeSpec({name: 'disk'}),
  makeSpec({name: 'cache'}),
  makeSpec({name: 'mail'}),
)

test('a VM stands in a later level than what it waits for', () => {
  expect(graph.levels).toEqual([['disk', 'cache', 'mail'], ['db'], ['shop.web-0', 'shop.web-1', 'shop.web-2'], ['proxy']])
  expect(graph.replicas).toEqual([{service: 'shop.web', vms: ['shop.web-0', 'shop.web-1', 'shop.web-2']}])
})

test('as text: trees, with replicas together, and the order', () => {
  expect(graphText(graph)).toBe(
    [
      'mail',
      'proxy',
      '├── shop.web ×3 (started)',
      '│   ├── db (healthy)',
      '│   │   └── disk (started)',
      '│   └── cache (started)',
      '└── db (started) (see above)',
      '',
      'Start order:',
      '  1. disk, cache, mail',
      '  2. db',
      '  3. shop.web ×3',
      '  4. proxy',
    ].join('\n'),
  )
  expect(graphText(draw(makeSpec({name: 'a'}), makeSpec({name: 'b'})))).toBe('a\nb')
})

test.each([20, 40, 80])('no line of the text is longer than a terminal of %i columns', (width) => {
  const lines = graphText(graph, {width, colour: false}).split('\n')
  expect(Math.max(...lines.map(displayWidth))).toBeLessThanOrEqual(width)
  expect(stripControls(graphText(graph, {width, colour: true}))).toBe(lines.join('\n'))
})

test('as Mermaid, with names in its quotes', () => {
  expect(graphMermaid(draw(web(0), web(1), makeSpec({name: 'db'}), makeSpec({name: 'cache'})))).toBe(
    'flowchart LR\n  n0["db"]\n  n1["cache"]\n  n2["shop.web ×2"]\n  n0 -->|healthy| n2\n  n1 -->|started| n2',
  )
  expect(graphMermaid({levels: [['a"b']], edges: [], replicas: []})).toBe('flowchart LR\n  n0["a#quot;b"]')
})

test('replicas of which only some are waited for stand for themselves', () => {
  const text = graphText(
    draw(web(0), web(1), makeSpec({name: 'db'}), makeSpec({name: 'cache'}), makeSpec({name: 'one', dependsOn: started('shop.web-1')})),
  )
  expect(text).toContain('└── shop.web-1 (started)')
  expect(text).not.toContain('×')
})

interface Box {
  readonly what: string
  readonly left: number
  readonly right: number
  readonly top: number
  readonly bottom: number
}

const attributesOf = (tag: string): Readonly<Record<string, string>> =>
  Object.fromEntries(tag.matchAll(/([\w-]+)="([^"]*)"/g).map(([, name = '', value = '']) => [name, value]))

/** What the picture has, in pixels; the letters of a monospaced font are 0.6 em wide and 1.2 em high. */
const boxesOf = (
  svg: string,
): {readonly boxes: readonly Box[]; readonly labels: readonly Box[]; readonly names: readonly Box[]; readonly page: Box} => {
  const boxes = [...svg.matchAll(/<g>(?:<title>[^<]*<\/title>)?((?:<rect [^>]*>)+)/g)].map(([, rects = '']) => {
    const all = [...rects.matchAll(/<rect [^>]*>/g)].map(([tag]) => {
      const {x, y, width, height} = attributesOf(tag)
      return {left: Number(x), right: Number(x) + Number(width), top: Number(y), bottom: Number(y) + Number(height)}
    })
    return {
      what: rects,
      left: Math.min(...all.map(({left}) => left)),
      right: Math.max(...all.map(({right}) => right)),
      top: Math.min(...all.map(({top}) => top)),
      bottom: Math.max(...all.map(({bottom}) => bottom)),
    }
  })
  const texts = [...svg.matchAll(/(<text [^>]*>)([^<]*)<\/text>/g)].map(([, tag = '', content = '']) => {
    const {class: kind, x, y} = attributesOf(tag)
    const fontSize = kind === 'name' ? 14 : 11
    const half = content.replaceAll(/&\w+;/g, 'x').length * fontSize * 0.3
    return {
      what: content,
      kind,
      left: Number(x) - half,
      right: Number(x) + half,
      top: Number(y) - fontSize * 0.6,
      bottom: Number(y) + fontSize * 0.6,
    }
  })
  const {width, height, viewBox} = attributesOf(/<svg [^>]*>/.exec(svg)?.[0] ?? '')
  expect(viewBox).toBe(`0 0 ${width} ${height}`)
  return {
    boxes,
    labels: texts.filter(({kind}) => kind === 'label'),
    names: texts.filter(({kind}) => kind === 'name'),
    page: {what: 'page', left: 0, top: 0, right: Number(width), bottom: Number(height)},
  }
}

const isApart = (one: Box, other: Box): boolean =>
  one.right <= other.left || other.right <= one.left || one.bottom <= other.top || other.bottom <= one.top

const isInside = (inner: Box, outer: Box): boolean =>
  inner.left >= outer.left && inner.right <= outer.right && inner.top >= outer.top && inner.bottom <= outer.bottom

/** Numbers that are the same at every run. */
const random = (seed: number) => {
  let state = seed
  return (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

const randomGraph = (seed: number): Graph => {
  const next = random(seed)
  const specs: VmSpec[] = []
  const services: (readonly string[])[] = []
  for (let service = 0; service < 1 + next(14); service++) {
    const name = `${'n'.repeat(1 + next(next(4) === 0 ? 50 : 12))}${service}`
    const count = next(4) === 0 ? 2 + next(5) : 1
    const targets = services.filter(() => next(3) === 0).flatMap((all) => (next(5) === 0 ? all.slice(0, 1) : all))
    const condition = (['started', 'provisioned', 'healthy'] as const)[next(3)] ?? 'started'
    const names = Array.from({length: count}, (_, replica) => (count === 1 ? name : `${name}-${replica}`))
    services.push(names)
    specs.push(...names.map((one) => makeSpec({name: one, service: name, dependsOn: targets.map((vm) => ({vm, condition}))})))
  }
  return draw(...specs)
}

test('in the picture of any graph nothing overlaps, everything is on the page, and every line has its label and its tip', () => {
  for (let seed = 1; seed <= 300; seed++) {
    const svg = graphSvg(randomGraph(seed))
    const {boxes, labels, names, page} = boxesOf(svg)
    const solid = [...boxes, ...labels]
    for (const [index, one] of solid.entries()) {
      if (!isInside(one, page)) expect.fail(`seed ${seed}: ${one.what} is off the page`)
      const other = solid.slice(index + 1).find((later) => !isApart(one, later))
      if (other) expect.fail(`seed ${seed}: ${one.what} overlaps ${other.what}`)
    }
    for (const name of names) if (!boxes.some((box) => isInside(name, box))) expect.fail(`seed ${seed}: ${name.what} is wider than its box`)
    expect(boxes).toHaveLength(names.length)
    expect(svg.match(/marker-end/g) ?? []).toHaveLength(labels.length)
  }
})

test('the picture says what it is, follows the scheme of colours, and takes names for text', () => {
  const svg = graphSvg({levels: [['<a> & "b"']], edges: [], replicas: []})
  expect(svg).toContain('>&lt;a&gt; &amp; &quot;b&quot;</text>')
  expect(svg).toContain('@media (prefers-color-scheme:dark)')
  expect(svg).toMatch(/^<svg [^>]*role="img">\n<title>/)
  const replicas = graphSvg(graph)
  expect(replicas).toContain('<title>shop.web-0, shop.web-1, shop.web-2</title>')
  expect(replicas).toContain('>shop.web ×3</text>')
  expect(replicas).not.toContain('>shop.web-0</text>')
  expect(graphSvg({levels: [], edges: [], replicas: []})).toContain('viewBox="0 0 32 32"')
})
