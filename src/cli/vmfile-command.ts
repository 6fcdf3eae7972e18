import type {Engine} from '../engine/engine.ts'
import type {Vmfile} from '../engine/load.ts'
import type {ConvergeOptions} from '../engine/converge/converge.ts'
import type {VmResult} from '../engine/converge/result.ts'
import {isFailure, isVmctlError, messageOf} from '../model/errors.ts'
import type {VmSpec} from '../model/vm.ts'
import {type Asked, type EngineFlags, VmctlCommand} from './base-command.ts'
import {formatError, formatProblem} from './diagnostics.ts'
import {screenOf} from './screen.ts'
import {summarize, withTime} from './summary.ts'

/** A command that works on the VMs of a VMFile. */
export abstract class VmfileCommand extends VmctlCommand {
  /** The project of the VMFile: in its directory the names of VMs do without. */
  protected project: string | undefined

  /** Finds and reads the VMFile; its warnings are shown. */
  protected async readVmfile(engine: Engine, path: string | undefined, options: {toleratesMissing?: boolean} = {}): Promise<Vmfile> {
    const {findVmfile, readVmfile} = await import('../engine/load.ts')
    const found = findVmfile(path, process.cwd(), engine.env)
    if (found.startsWith('..') && found !== path && found !== engine.env.VMCTL_FILE) this.tell(`Using ${found}.`)
    const vmfile = await readVmfile(engine, found, options)
    for (const warning of vmfile.warnings) this.tell(formatProblem(warning, screenOf(process.stderr)))
    return vmfile
  }

  /** Tells one failure of several; what they come to is thrown. */
  protected tellFailure(error: unknown): void {
    this.tell(isVmctlError(error) ? formatError(error, screenOf(process.stderr)).trimEnd() : `error[unexplained]: ${messageOf(error)}`)
  }

  /** The VMFile of this directory, for a command that can do without. One that was named must be there. */
  protected async vmfileIfAny(engine: Engine, path: string | undefined, isNeeded: boolean): Promise<Vmfile | undefined> {
    try {
      return await this.readVmfile(engine, path, {toleratesMissing: true})
    } catch (error) {
      if (path !== undefined || (isNeeded && !isFailure(error, 'vmctl::vmfile::not_found'))) throw error
      return undefined
    }
  }

  /** The VMs that are named, else those of the VMFile that exist. */
  protected async createdVms(engine: Engine, asked: readonly string[] = [], file?: string): Promise<readonly string[]> {
    const {findCreated} = await import('../engine/find.ts')
    const vmfile = asked.length === 0 ? await this.vmfileIfAny(engine, file, true) : undefined
    return findCreated(engine, asked, {vmfile, file, directory: process.cwd()})
  }

  /** The one VM that is named, else the only one of the VMFile. */
  protected async oneVm(engine: Engine, asked: string | undefined, file?: string): Promise<string> {
    if (asked !== undefined) return this.vmNamed(engine, asked, file)
    const {onlyVm} = await import('../engine/find.ts')
    return onlyVm(await this.vmfileIfAny(engine, file, true), this.id)
  }

  /** Reads the VMFile and brings its VMs to where the verb wants them. */
  protected async converge(
    flags: EngineFlags & {readonly file?: string | undefined},
    options: Omit<ConvergeOptions, 'vmfile'>,
    /** For a verb that destroys what is there: what a person is asked first, about orphans too when they go. */
    ask?: (vms: readonly VmSpec[]) => Asked,
  ): Promise<{readonly vms: readonly VmResult[]}> {
    const engine = await this.openEngine(flags)
    const vmfile = await this.readVmfile(engine, flags.file, {toleratesMissing: options.verb === 'down'})
    this.project = vmfile.vms[0]?.project
    if (ask) {
      const {choose} = await import('../engine/plan/select.ts')
      const orphans = options.removeOrphans && !options.names?.length ? await this.#orphans(engine, vmfile) : []
      await this.confirmLoss(engine, {...ask(choose({...options, vmfile})), orphans})
    }
    const {converge} = await import('../engine/converge/converge.ts')
    const began = performance.now()
    try {
      const vms = await converge(engine, {vmfile, ...options})
      await this.settle()
      for (const line of summarize(vms, {verb: options.verb, elapsedMs: performance.now() - began})) this.log(line)
      if (options.verb === 'down')
        await this.tellForks(
          engine,
          vms.map(({name}) => name),
        )
      return {vms}
    } catch (error) {
      // A program that reads the result has the time of each VM.
      if (isFailure(error, 'vmctl::vms::failed') && !this.jsonEnabled())
        error.reword({message: withTime(error.message, performance.now() - began)})
      throw error
    }
  }

  /** Forks that nobody is at work on take memory and disk. */
  protected async tellForks(engine: Engine, names?: readonly string[]): Promise<void> {
    const {forkNotices} = await import('../engine/fork/remove-fork.ts')
    for (const notice of await forkNotices(engine, names)) this.tell(notice)
  }

  async #orphans(engine: Engine, vmfile: Vmfile): Promise<readonly string[]> {
    const {findOrphans} = await import('../engine/converge/orphans.ts')
    return (await findOrphans(engine, vmfile)).map(({vm}) => vm)
  }
}
