import {setImmediate} from 'node:timers/promises'

import fc from 'fast-check'
import {expect, test} from 'vitest'

import {schedule, type Task} from './schedule.ts'
import type {Awaited} from './vm-plan.ts'

const never = new AbortController().signal

interface Story {
  readonly told: string[]
  task(name: string, after?: readonly (string | Awaited)[], body?: Task<string>['run']): Task<string>
}

const story = (): Story => {
  const told: string[] = []
  return {
    told,
    task: (name, after = [], body = async () => name) => ({
      name,
      after: after.map((one) => (typeof one === 'string' ? {vm: one, condition: 'healthy'} : one)),
      async run(reached) {
        told.push(`+${name}`)
        try {
          return await body(reached)
        } finally {
          told.push(`-${name}`)
        }
      },
    }),
  }
}

const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await setImmediate()
}

const fail = (message: string) => async (): Promise<never> => {
  await turns(2)
  throw new Error(message)
}

test('a task begins once what it waits for is over, others beside it', async () => {
  const {told, task} = story()
  const slow = async (): Promise<string> => {
    await turns(10)
    return 'slow'
  }
  const outcomes = await schedule([task('web', ['db']), task('db', [], slow), task('other')], {parallel: 4, signal: never})
  expect(told).toEqual(['+db', '+other', '-other', '-db', '+web', '-web'])
  expect(outcomes.map((outcome) => outcome.status === 'fulfilled' && outcome.value)).toEqual(['web', 'slow', 'other'])
})

test('a condition lets others begin before the task is over', async () => {
  const {told, task} = story()
  const db = task('db', [], async (reached) => {
    reached('started')
    await turns(10)
    told.push('db is healthy')
    return 'db'
  })
  await schedule([db, task('early', [{vm: 'db', condition: 'started'}]), task('late', ['db'])], {parallel: 4, signal: never})
  expect(told).toEqual(['+db', '+early', '-early', 'db is healthy', '-db', '+late', '-late'])
})

test('a failure stops those that wait for it, over any number of steps, and no others', async () => {
  const {told, task} = story()
  const failures: string[] = []
  const outcomes = await schedule(
    [
      task('db', [], fail('no disk')),
      task('api', ['db']),
      task('web', ['api', 'cache']),
      task('cache'),
      task('log', [{vm: 'db', condition: 'over'}]),
    ],
    {parallel: 1, signal: never, onFailure: (name) => void failures.push(name)},
  )
  expect(told).toEqual(['+db', '-db', '+cache', '-cache', '+log', '-log'])
  expect(failures).toEqual(['db', 'api', 'web'])
  expect(outcomes.map((outcome) => outcome.status === 'rejected' && outcome.reason)).toEqual([
    expect.objectContaining({message: 'no disk'}),
    expect.objectContaining({
      code: 'vmctl::vm::dependency_failed',
      message: 'api was left alone, because it waits until db is healthy, and db failed.',
      details: {vm: 'api', dependency: 'db'},
    }),
    expect.objectContaining({
      code: 'vmctl::vm::dependency_failed',
      message: 'web was left alone, because it waits until api is healthy, and api was left alone.',
      help: 'Correct what is wrong with db, then run the command again.',
      details: {vm: 'web', dependency: 'db'},
    }),
    false,
    false,
  ])
})

test('a task that fails after what was waited for stops nobody', async () => {
  const {told, task} = story()
  const db = task('db', [], async (reached) => {
    reached('started')
    return fail('a step failed')()
  })
  const outcomes = await schedule([db, task('web', [{vm: 'db', condition: 'started'}])], {parallel: 2, signal: never})
  expect(outcomes.map(({status}) => status)).toEqual(['rejected', 'fulfilled'])
  expect(told).toContain('+web')
})

test('nothing is begun after an interrupt', async () => {
  const {told, task} = story()
  const controller = new AbortController()
  const first = task('first', [], async () => {
    await turns(2)
    controller.abort(new Error('Ctrl+C'))
    return 'first'
  })
  const outcomes = await schedule([first, task('second'), task('third', [{vm: 'first', condition: 'over'}])], {
    parallel: 1,
    signal: controller.signal,
  })
  expect(told).toEqual(['+first', '-first'])
  expect(outcomes.map(({status}) => status)).toEqual(['fulfilled', 'rejected', 'rejected'])
})

test('any graph: each task once, after all that it waits for, never more at once than may be, and left alone only for a reason', async () => {
  const graph = fc.record({
    parallel: fc.integer({min: 1, max: 5}),
    nodes: fc.array(fc.record({after: fc.array(fc.nat(20), {maxLength: 3}), isBad: fc.boolean(), turns: fc.nat(4)}), {maxLength: 20}),
  })
  await fc.assert(
    fc.asyncProperty(graph, async ({parallel, nodes}) => {
      const began: number[] = []
      const ended = new Set<number>()
      let running = 0
      const tasks = nodes.map(({after, isBad, turns: count}, index): Task<void> => ({
        name: String(index),
        after: after.filter((one) => one < index).map((one) => ({vm: String(one), condition: 'provisioned'})),
        async run() {
          expect(++running).toBeLessThanOrEqual(parallel)
          expect(began).not.toContain(index)
          began.push(index)
          for (const one of after.filter((other) => other < index)) expect(ended).toContain(one)
          await turns(count)
          running--
          if (isBad) throw new Error('bad')
          ended.add(index)
        },
      }))
      const outcomes = await schedule(tasks, {parallel, signal: never})
      for (const [index, {after, isBad}] of nodes.entries()) {
        const mayRun = after.filter((one) => one < index).every((one) => outcomes[one]?.status === 'fulfilled')
        expect(began.includes(index)).toBe(mayRun)
        expect(outcomes[index]?.status).toBe(mayRun && !isBad ? 'fulfilled' : 'rejected')
      }
    }),
    {numRuns: 60},
  )
})
