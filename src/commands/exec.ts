import {isatty} from 'node:tty'

import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'

import * as flags from '../cli/flags.ts'
import {prefixedOutput} from '../cli/prefixed-output.ts'
import {splitProgram} from '../cli/program-words.ts'
import {VmfileCommand} from '../cli/vmfile-command.ts'
import type {ExecResult} from '../engine/reach/exec.ts'
import {VmctlError} from '../model/errors.ts'

export default class Exec extends VmfileCommand {
  static override summary = 'Run a program, or a shell, in VMs.'
  static override description =
    'The program and its arguments reach the guest as they are: no shell reads them. Its exit status is passed on. Without a program, a shell is opened. With --all, or for a service with replicas or a project, it runs in all VMs at once, and each line starts with the name of its VM. The name may be left out (`exec -- PROGRAM`) when the VMFile defines one VM. Standard input reaches the program; with several VMs each gets all of it, unless it is a terminal.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> db pg_isready -U postgres',
    "<%= config.bin %> <%= command.id %> web -- sh -c 'df -h | tail -1'",
    '<%= config.bin %> <%= command.id %> --all -- uptime',
    '<%= config.bin %> <%= command.id %> --workdir /srv/app web make',
  ]
  static override strict = false
  static override args = {name: Args.string({description: 'Name of a VM, of a service or of a project.'})}
  static override flags = {
    all: Flags.boolean({summary: 'In all VMs of the VMFile.'}),
    user: flags.user({char: 'u', summary: 'User to log in as.'}),
    workdir: Flags.string({char: 'w', summary: 'Directory of the VM to run it in, instead of the home directory.', helpValue: 'PATH'}),
    file: flags.file,
  }

  protected override readonly onlyPrints = true

  async run(): Promise<{readonly vms: readonly ExecResult[]}> {
    const {own, rest} = splitProgram(this.argv, {...Exec.baseFlags, ...Exec.flags})
    const {flags: given} = await this.parse(Exec, own)
    const {asked, program} = wordsOf(rest, given.all)
    const engine = await this.openEngine(given)
    const [{execAll}, {findCreated, onlyVm}] = await Promise.all([import('../engine/reach/exec.ts'), import('../engine/find.ts')])
    const vmfile = await this.vmfileIfAny(engine, given.file, asked.length === 0)
    const find = {vmfile, file: given.file, directory: process.cwd()}
    const words = asked.length > 0 || given.all ? asked : [onlyVm(vmfile, 'exec')]
    const names = await findCreated(engine, words, find)
    const request = {command: program, workdir: given.workdir, user: given.user}
    const [only, ...others] = names
    if (only !== undefined && others.length === 0 && !this.jsonEnabled()) {
      const {openShell} = await import('../engine/reach/ssh.ts')
      const exitCode = await openShell(engine, only, {...request, vmfile, asWords: true, directory: process.cwd()})
      process.exitCode = exitCode
      return {vms: [{name: only, exitCode}]}
    }
    if (only === undefined || program.length === 0) throw tooFew(only === undefined)
    const output = prefixedOutput(names)
    // The result is all that `--json` prints on standard output.
    const onOutput: typeof output.write = (name, stream, chunk) =>
      this.above(() => output.write(name, this.jsonEnabled() ? 'stderr' : stream, chunk))
    // What a person types goes to one program, not to several.
    const stdin = isatty(0) ? undefined : process.stdin
    const {vms, exitCode} = await execAll(engine, {...request, names, stdin, onOutput})
    output.close()
    for (const {name, error} of vms) if (error) this.tell(`${name}: ${error.message}`)
    process.exitCode = exitCode
    return {vms}
  }
}

const wordsOf = (rest: readonly string[], all: boolean): {asked: string[]; program: string[]} => {
  const [first, ...more] = rest
  const asked = all || first === undefined || first === '--' ? [] : [first]
  const words = asked.length > 0 ? more : rest
  return {asked, program: words[0] === '--' ? words.slice(1) : [...words]}
}

const tooFew = (noVm: boolean): VmctlError =>
  noVm
    ? new VmctlError('vmctl::vm::not_found', 'None of the VMs is created yet.', {help: 'Create and start them with `vmctl up`.'})
    : new VmctlError('vmctl::usage::invalid', 'A shell is for one VM, without --json.', {
        help: 'Name one VM, or a program for all of them: `vmctl exec --all -- PROGRAM`.',
      })
