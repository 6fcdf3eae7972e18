import {about, severalFailed, summaryOf} from '../model/errors.ts'
import type {Engine} from '../engine/engine.ts'
import {VmfileCommand} from './vmfile-command.ts'
import type {LifecycleResult} from '../engine/vm/lifecycle.ts'

/** What a verb on VMs by name prints as JSON: that of the VM, or a list when there are several. */
export type LifecycleOutput = LifecycleResult | {readonly vms: readonly LifecycleResult[]}

/** A verb on VMs that exist: those that are named, where a service stands for all of its replicas, else those of the VMFile. */
export abstract class LifecycleCommand extends VmfileCommand {
  /** Does the verb for all of them side by side. A failure of one does not stop the others. */
  protected async forEach(
    engine: Engine,
    {asked, file, done}: {asked: readonly string[] | undefined; file: string | undefined; done: string},
    verb: (name: string) => Promise<LifecycleResult>,
  ): Promise<LifecycleOutput> {
    const names = await this.createdVms(engine, asked, file)
    return this.forNames(names, verb, ({name, state, unchanged}) => `${name}: ${unchanged ? `already ${state}` : done}`)
  }

  /** The same for VMs in full; `say` is what is printed of each. */
  protected async forNames<Result extends {readonly name: string}>(
    names: readonly string[],
    verb: (name: string) => Promise<Result>,
    say: (result: Result) => string,
  ): Promise<Result | {readonly vms: readonly Result[]}> {
    const errors: {name: string; error: unknown}[] = []
    const results: Result[] = []
    await Promise.all(
      names.map(async (name) => {
        try {
          const result = await verb(name)
          results.push(result)
          this.log(say(result))
        } catch (error) {
          errors.push({name, error: about(error, {vm: name})})
        }
      }),
    )
    const [first] = errors
    const inOrder = <T extends {readonly name: string}>(all: readonly T[]): readonly T[] =>
      all.toSorted((a, b) => names.indexOf(a.name) - names.indexOf(b.name))
    if (first && names.length === 1) throw first.error
    if (first) {
      for (const {error} of errors) this.tellFailure(error)
      const failed = errors.map(({name, error}) => ({name, error: summaryOf(error)}))
      throw severalFailed(inOrder(errors), {of: names.length, details: {vms: inOrder([...results, ...failed])}})
    }
    const [only] = results
    return only && names.length === 1 ? only : {vms: inOrder(results)}
  }
}
