import {isatty} from 'node:tty'

import * as Args from '@oclif/core/args'
import * as Errors from '@oclif/core/errors'
import * as Flags from '@oclif/core/flags'

import * as flags from '../cli/flags.ts'
import {prefixedOutput} from '../cli/prefixed-output.ts'
import {splitProgram} from '../cli/program-words.ts'
import {VmfileCommand} from '../cli/vmfile-command.ts'
import type {ExecResult} from '../engine/exec.ts'

export default class Exec extends VmfileCommand {
  static override summary = 'Run a program in a VM; its exit status is passed on.'
  static override description =
    'What follows the name is a program and its arguments, which reach the guest as they are: no shell reads them. With --all, or for a service with replicas, it runs in all of them at once, and each line says whose it is. Standard input reaches the program; with several VMs each gets all of it, unless it is a terminal.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> db pg_isready -U postgres',
    "<%= config.bin %> <%= command.id %> web -- sh -c 'df -h | tail -1'",
    '<%= config.bin %> <%= command.id %> --all -- uptime',
  ]
  static override strict = false
  static override args = {name: Args.string({description: 'Name of a VM or a service.'})}
  static override flags = {
    all: Flags.boolean({summary: 'In all VMs of the VMFile.'}),
    user: Flags.string({char: 'u', summary: 'User to log in as.'}),
    file: flags.file,
  }

  async run(): Promise<{readonly vms: readonly ExecResult[]}> {
    const {own, rest} = splitProgram(this.argv, {...Exec.baseFlags, ...Exec.flags})
    const {flags: given} = await this.parse(Exec, own)
    const {asked, command} = wordsOf(rest, given.all)
    const engine = await this.openEngine(given)
    const [{execAll, exitStatus}, {findVms}] = await Promise.all([import('../engine/exec.ts'), import('../engine/find.ts')])
    const vmfile = await this.vmfileIfAny(engine, given.file, given.all)
    const names = await findVms(engine, asked, {vmfile, file: given.file, directory: process.cwd()})
    const [only, ...others] = names
    if (only !== undefined && others.length === 0 && !this.jsonEnabled()) {
      const {openShell} = await import('../engine/ssh.ts')
      const exitCode = await openShell(engine, only, {user: given.user, vmfile, command, asWords: true, directory: process.cwd()})
      process.exitCode = exitCode
      return {vms: [{name: only, exitCode}]}
    }
    const output = prefixedOutput(names)
    const onOutput = this.jsonEnabled() ? () => undefined : output.write
    // What a person types goes to one program, not to several.
    const stdin = isatty(0) ? undefined : process.stdin
    const vms = await execAll(engine, {names, command, user: given.user, stdin, onOutput})
    output.close()
    for (const {name, error} of vms) if (error) this.tell(`${name}: ${error.message}`)
    process.exitCode = exitStatus(vms)
    return {vms}
  }
}

const wordsOf = (rest: readonly string[], all: boolean): {asked: string[]; command: string[]} => {
  const [first, ...more] = rest
  const asked = all || first === undefined || first === '--' ? [] : [first]
  const words = asked.length > 0 ? more : rest
  const command = words[0] === '--' ? words.slice(1) : [...words]
  if (command.length === 0 || (asked.length === 0 && !all)) {
    throw new Errors.CLIError('Name a VM and a program: vmctl exec VM PROGRAM [ARGUMENT...], or vmctl exec --all -- PROGRAM', {exit: 2})
  }
  return {asked, command}
}
