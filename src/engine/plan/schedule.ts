import {factsOf, VmctlError} from '../../model/errors.ts'
import {describeAwaited} from './order.ts'
import type {Awaited} from './vm-plan.ts'

export interface Task<Result> {
  readonly name: string
  readonly after: readonly Awaited[]
  /**
   * Does the work. `reached` tells that a condition holds, before the end; when the work is done, all of them do.
   * @param reached may be called more than once
   */
  run(reached: (condition: Awaited['condition']) => void): Promise<Result>
}

export interface ScheduleOptions {
  /** How many are worked on at once. One that waits for others does not count. */
  readonly parallel: number
  /** Gets each failure at once. */
  readonly onFailure?: (name: string, error: unknown) => void | Promise<void>
  readonly signal: AbortSignal
}

/**
 * Does each task once what it waits for is reached, as many at once as may be, and returns how each ended, in the order of
 * the tasks. A task whose condition can no longer be reached is not begun: it fails with `vmctl::vm::dependency_failed`.
 * A condition `over` holds however the other task ended.
 */
export const schedule = async <Result>(
  tasks: readonly Task<Result>[],
  {parallel, onFailure, signal}: ScheduleOptions,
): Promise<PromiseSettledResult<Result>[]> => {
  const milestones = new Map(tasks.map(({name}) => [name, milestonesOf()]))
  const of = (name: string): Milestones => milestones.get(name) ?? unknown(name)
  const slots = slotsFor(parallel)
  const work = async (task: Task<Result>): Promise<Result> => {
    const own = of(task.name)
    try {
      await Promise.all(task.after.map((awaited) => of(awaited.vm).when(awaited.condition, explain(task.name, awaited))))
      signal.throwIfAborted()
      using _slot = await slots()
      signal.throwIfAborted()
      const result = await task.run((condition) => own.reach(condition))
      own.end()
      return result
    } catch (error) {
      // Told before those that wait for it tell that they are left alone.
      await onFailure?.(task.name, error)
      own.end(error)
      throw error
    }
  }
  return Promise.allSettled(tasks.map(work))
}

const unknown = (name: string): never => {
  throw new Error(`Nothing is called ${name} here.`)
}

const explain =
  (name: string, awaited: Awaited) =>
  (cause: unknown): VmctlError => {
    const {dependency} = factsOf(cause)
    const root = dependency ?? awaited.vm
    const why = dependency !== undefined ? `${awaited.vm} was left alone` : `${awaited.vm} failed`
    return new VmctlError(
      'vmctl::vm::dependency_failed',
      `${name} was left alone, because it waits until ${describeAwaited(awaited)}, and ${why}.`,
      {
        help: `Correct what is wrong with ${root}, then run the command again.`,
        dependency: root,
        details: {vm: name},
        cause,
      },
    )
  }

interface Milestones {
  when(condition: Awaited['condition'], explain: (cause: unknown) => unknown): Promise<void>
  reach(condition: Awaited['condition']): void
  end(error?: unknown): void
}

/** What one task has come past. Everybody who waits for it says so before it begins. */
const milestonesOf = (): Milestones => {
  const over = Promise.withResolvers<void>()
  const waiting = new Map<Awaited['condition'], PromiseWithResolvers<void>>()
  return {
    async when(condition, because) {
      if (condition === 'over') return over.promise
      const milestone = waiting.get(condition) ?? Promise.withResolvers<void>()
      waiting.set(condition, milestone)
      await milestone.promise.catch((error: unknown) => {
        throw because(error)
      })
    },
    reach(condition) {
      waiting.get(condition)?.resolve()
    },
    end(error) {
      over.resolve()
      for (const {resolve, reject} of waiting.values()) {
        if (error === undefined) resolve()
        else reject(error)
      }
    },
  }
}

/** Hands out `count` turns, in the order in which they are asked for. */
const slotsFor = (count: number): (() => Promise<Disposable>) => {
  let free = Math.max(1, count)
  const queue: (() => void)[] = []
  const slot = (): Disposable => ({
    [Symbol.dispose]() {
      const next = queue.shift()
      if (next) next()
      else free++
    },
  })
  return async () => {
    if (free > 0) free--
    else await new Promise<void>((resolve) => void queue.push(resolve))
    return slot()
  }
}
