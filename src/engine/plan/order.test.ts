import fc from 'fast-check'
import {describe, expect, test} from 'vitest'

import {makeSpec} from '../../../test/support/builders.ts'
import type {DependencyCondition} from '../../model/order.ts'
import type {VmSpec} from '../../model/vm.ts'
import {inOrder, isReached, placesOf, withDependencies} from './order.ts'
import type {Action} from './vm-plan.ts'

const vm = (name: string, ...after: readonly (string | readonly [string, DependencyCondition])[]): VmSpec =>
  makeSpec({
    name,
    ...(after.length > 0 && {
      dependsOn: after.map((one) => (typeof one === 'string' ? {vm: one, condition: 'started'} : {vm: one[0], condition: one[1]})),
    }),
  })

const names = (specs: readonly VmSpec[]): readonly string[] => specs.map(({name}) => name)

test('every VM comes after those that it depends on, and else as in the file', () => {
  expect(names(inOrder([vm('web', 'api', 'cache'), vm('other'), vm('cache'), vm('api', 'db'), vm('db')]))).toEqual([
    'db',
    'api',
    'cache',
    'web',
    'other',
  ])
  expect(names(inOrder([vm('web', 'elsewhere'), vm('db')]))).toEqual(['web', 'db'])
})

test('any graph without circles is put in order', () => {
  fc.assert(
    fc.property(fc.array(fc.array(fc.nat(30), {maxLength: 4}), {maxLength: 30}), fc.boolean(), (edges, turned) => {
      const specs = edges.map((after, index) => vm(`v${index}`, ...after.filter((one) => one < index).map((one) => `v${one}`)))
      const sorted = names(inOrder(turned ? specs.toReversed() : specs))
      expect(new Set(sorted)).toEqual(new Set(names(specs)))
      for (const {name, dependsOn = []} of specs) {
        for (const one of dependsOn) expect(sorted.indexOf(one.vm)).toBeLessThan(sorted.indexOf(name))
      }
    }),
  )
})

test('a circle is told with its path', () => {
  const circle = () => inOrder([vm('web', 'api'), vm('api', 'db'), vm('db', 'cache'), vm('cache', 'api')])
  expect(circle).toThrow('The VMs depend on each other in a cycle: api → db → cache → api.')
  expect(() => inOrder([vm('a', 'a')])).toThrow('cycle: a → a.')
})

test('what VMs depend on, over any number of steps', () => {
  const all = [vm('web', 'api'), vm('other', 'db'), vm('db'), vm('api', 'db')]
  expect(names(withDependencies(all, [vm('web', 'api')]))).toEqual(['web', 'db', 'api'])
  expect(names(withDependencies(all, [vm('db')]))).toEqual(['db'])
  expect(names(withDependencies([vm('a', 'b'), vm('b', 'a')], [vm('a', 'b')]))).toEqual(['a', 'b'])
})

describe('places', () => {
  const db = vm('db')
  const web = vm('web', ['db', 'healthy'])
  const log = vm('log', ['db', 'ssh'])

  test('a condition is demanded by those that are about to start', () => {
    const places = placesOf([web, log, db], {verb: 'up', starters: new Set(['web', 'db'])})
    expect(places.get('db')).toEqual({after: [], demands: [{by: 'web', condition: 'healthy'}], notices: []})
    expect(places.get('web')).toEqual({after: [{vm: 'db', condition: 'healthy'}], demands: [], notices: []})
    expect(places.get('log')?.after).toEqual([{vm: 'db', condition: 'ssh'}])
  })
  test('one that is not worked on is not waited for, and told about when it does not run', () => {
    const around = (isRunning: boolean) =>
      placesOf([web], {verb: 'up', starters: new Set(['web']), unselected: [{spec: db, isRunning}]}).get('web')
    expect(around(false)).toEqual({after: [], demands: [], notices: ['depends on db, which is not running']})
    expect(around(true)?.notices).toEqual([])
  })
  test('down goes the other way round, and tells of those that go on', () => {
    const places = placesOf([web, db], {verb: 'down', starters: new Set(), unselected: [{spec: log, isRunning: true}]})
    expect(places.get('db')).toEqual({
      after: [{vm: 'web', condition: 'over'}],
      demands: [],
      notices: ['log, which depends on it, is still running'],
    })
    expect(places.get('web')?.after).toEqual([])
    expect(placesOf([db], {verb: 'down', starters: new Set(), unselected: [{spec: log, isRunning: false}]}).get('db')?.notices).toEqual([])
  })
})

describe('what is reached while a plan is carried out', () => {
  const whole: readonly Action[] = ['create', 'start', 'provision', 'check-health']
  const reached = (rest: readonly Action[], isGuestReady = false): readonly string[] =>
    (['started', 'ssh', 'provisioned', 'healthy'] as const).filter((condition) =>
      isReached(
        condition,
        rest.map((action) => ({action, cause: ''})),
        isGuestReady,
      ),
    )

  test.each([
    [whole, []],
    [whole.slice(1), []],
    [whole.slice(2), ['started']],
    [whole.slice(3), ['started', 'provisioned']],
    [[], ['started', 'ssh', 'provisioned', 'healthy']],
    [['resume', 'wait'], []],
    [['wait'], ['started']],
    [['configure'], ['started']],
  ] as const)('%j is left', (rest, expected) => {
    expect(reached(rest)).toEqual(expected)
  })
  test('a guest that is ready while it is provisioned can be logged in to', () => {
    expect(reached(whole.slice(2), true)).toEqual(['started', 'ssh'])
    expect(reached(whole.slice(1), true)).toEqual([])
  })
})
