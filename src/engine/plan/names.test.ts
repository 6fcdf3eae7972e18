import {expect, test} from 'vitest'

import {makeSpec} from '../../../test/support/builders.ts'
import {matching} from './names.ts'
import {selectVms} from './select.ts'

const web = [0, 1].map((replica) => makeSpec({name: `shop.web-${replica}`, project: 'shop', service: 'web', replica}))
const db = makeSpec({name: 'shop.db', project: 'shop', service: 'db'})
const plain = makeSpec({name: 'web'})
const pair = [0, 1].map((replica) => makeSpec({name: `web-${replica}`, service: 'web', replica}))

const named = (vms: Parameters<typeof matching>[0], asked: string): readonly string[] => matching(vms, asked).map(({name}) => name)

test.each([
  ['a service', 'web', ['shop.web-0', 'shop.web-1']],
  ['a service with its project', 'shop.web', ['shop.web-0', 'shop.web-1']],
  ['a replica', 'web-1', ['shop.web-1']],
  ['a replica in full', 'shop.web-0', ['shop.web-0']],
  ['a VM without replicas', 'db', ['shop.db']],
  ['the replica that it would have', 'db-0', ['shop.db']],
  ['the same in full', 'shop.db', ['shop.db']],
  ['a replica that is not', 'web-2', []],
  ['another project', 'ship.web', []],
])('%s', (_title, asked, expected) => {
  expect(named([...web, db], asked)).toEqual(expected)
})

test('without a project', () => {
  expect(named(pair, 'web')).toEqual(['web-0', 'web-1'])
  expect(named(pair, 'web-1')).toEqual(['web-1'])
  expect(named([plain], 'web')).toEqual(['web'])
  expect(named([plain], 'web-0')).toEqual(['web'])
})

test('the very name comes first', () => {
  expect(named([plain, makeSpec({name: 'web-0'})], 'web-0')).toEqual(['web-0'])
})

const vmfile = {path: '/project/VMFile.kdl', directory: '/project', networks: [], volumes: [], vms: [...web, db], warnings: []}

test('names that overlap select each VM once, in the order of the file', () => {
  const selected = (...names: string[]): readonly string[] => selectVms(vmfile, names).map(({name}) => name)
  expect(selected('db', 'web-1', 'web')).toEqual(['shop.web-0', 'shop.web-1', 'shop.db'])
  expect(selected()).toEqual(['shop.web-0', 'shop.web-1', 'shop.db'])
})

test('a name that means nothing is told with those that do', () => {
  expect(() => selectVms(vmfile, ['wbe'])).toThrow(
    expect.objectContaining({
      code: 'vmctl::vm::not_found',
      message: '/project/VMFile.kdl defines no VM named "wbe"; it defines web, db.',
      help: 'Did you mean "web"?',
    }),
  )
  expect(() => selectVms(vmfile, ['something'])).toThrow(expect.objectContaining({help: 'Use one of: web, db.'}))
})
