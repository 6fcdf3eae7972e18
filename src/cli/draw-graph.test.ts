import {expect, test} from 'vitest'

import {makeSpec} from '../../test/support/builders.ts'
import {graphOf} from '../engine/show/graph.ts'
import {graphMermaid, graphSvg, graphText} from './draw-graph.ts'

const vmfile = {
  path: '/x/VMFile.kdl',
  directory: '/x',
  vms: [
    makeSpec({name: 'web-0', dependsOn: [{vm: 'api', condition: 'started'}]}),
    makeSpec({name: 'api', dependsOn: [{vm: 'db', condition: 'healthy'}]}),
    makeSpec({name: 'db'}),
    makeSpec({name: 'cache'}),
  ],
  networks: [],
  volumes: [],
  warnings: [],
}
const graph = graphOf(vmfile)

test('a VM stands in a later level than what it waits for', () => {
  expect(graph.levels).toEqual([['db', 'cache'], ['api'], ['web-0']])
})

test('as text, as Mermaid, as a picture', () => {
  expect(graphText(graph)).toBe('db\ncache\napi\n  waits for db (healthy)\nweb-0\n  waits for api (started)')
  expect(graphMermaid(graph)).toBe(
    'flowchart LR\n  n0["db"]\n  n1["cache"]\n  n2["api"]\n  n3["web-0"]\n  n2 -->|started| n3\n  n0 -->|healthy| n2',
  )
  const svg = graphSvg(graph)
  expect(svg.match(/<rect /g)).toHaveLength(4)
  expect(svg.match(/marker-end/g)).toHaveLength(2)
  expect(svg).toMatch(/^<svg xmlns="http:\/\/www.w3.org\/2000\/svg" width="732" height="124"/)
})
