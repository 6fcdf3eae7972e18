import {aboutVm, VmctlError} from '../model/errors.ts'
import type {Engine} from '../engine/engine.ts'
import type {LifecycleResult} from '../engine/lifecycle.ts'
import {formatError} from './diagnostics.ts'
import {VmfileCommand} from './vmfile-command.ts'

/** What a verb on VMs by name prints as JSON: that of the VM, or a list when there are several. */
export type LifecycleOutput = LifecycleResult | {readonly vms: readonly LifecycleResult[]}

/** A verb on VMs that exist, by name; a service stands for all of its replicas, and nothing else is touched. */
export abstract class LifecycleCommand extends VmfileCommand {
  /** Does the verb for all of them side by side. A failure of one does not stop the others. */
  protected async forEach(
    engine: Engine,
    {asked, file, done}: {asked: readonly string[]; file: string | undefined; done: string},
    verb: (name: string) => Promise<LifecycleResult>,
  ): Promise<LifecycleOutput> {
    const {findVms} = await import('../engine/find.ts')
    const names = await findVms(engine, asked, {vmfile: undefined, file, directory: process.cwd()})
    const errors: {name: string; error: unknown}[] = []
    const results: LifecycleResult[] = []
    await Promise.all(
      names.map(async (name) => {
        try {
          const result = await verb(name)
          results.push(result)
          this.log(`VM '${result.name}' ${done}`)
        } catch (error) {
          errors.push({name, error: aboutVm(error, name)})
        }
      }),
    )
    const [first] = errors
    if (first && names.length === 1) throw first.error
    if (first) {
      for (const {error} of errors) if (error instanceof VmctlError) this.tell(formatError(error, {colour: false}).trimEnd())
      const failed = errors.map(({name}) => name).join(', ')
      throw new VmctlError('vmctl::vms::failed', `${errors.length} of ${names.length} VMs failed: ${failed}.`, {details: {vms: results}})
    }
    const [only] = results
    const inOrder = results.toSorted((a, b) => names.indexOf(a.name) - names.indexOf(b.name))
    return only && names.length === 1 ? only : {vms: inOrder}
  }
}
