import {VmfileCommand} from '../cli/vmfile-command.ts'
import * as flags from '../cli/flags.ts'
import {formatProblem} from '../cli/diagnostics.ts'
import {screenOf} from '../cli/screen.ts'
import {type Problem, VmctlError} from '../model/errors.ts'

export default class Validate extends VmfileCommand {
  static override summary = 'Check a VMFile and everything it refers to.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --file staging.kdl --json']
  static override flags = {file: flags.file, home: flags.home}

  async run(): Promise<{readonly path: string; readonly vms: readonly string[]; readonly warnings: readonly Problem[]}> {
    const {flags: given} = await this.parse(Validate)
    const engine = await this.openEngine(given)
    const vmfile = await this.readVmfile(engine, given.file)
    const [{problemsOnBackend}, {openLock}] = await Promise.all([
      import('../engine/converge/runnable.ts'),
      import('../engine/make/go-by-lock.ts'),
    ])
    // The lock file is a file that people can edit as well.
    await openLock(engine, vmfile.path)
    const found = await problemsOnBackend(engine, vmfile)
    const problems = [...vmfile.warnings, ...found]
    const errors = found.filter(({severity}) => severity === 'error').length
    if (errors > 0) {
      const count = errors === 1 ? '1 problem' : `${errors} problems`
      throw new VmctlError('vmctl::vmfile::validation', `${count} in ${vmfile.path}`, {problems})
    }
    for (const problem of found) this.tell(formatProblem(problem, screenOf(process.stderr)))
    const vms = vmfile.vms.map(({name}) => name)
    this.log(`${vmfile.path} is valid; it defines ${vms.join(', ')}.`)
    return {path: vmfile.path, vms, warnings: problems}
  }
}
