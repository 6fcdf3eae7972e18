import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'

import {VmfileCommand} from '../cli/vmfile-command.ts'
import * as flags from '../cli/flags.ts'

export default class Ssh extends VmfileCommand {
  static override summary = 'Log in to a VM, or run a command in it.'
  static override description =
    'The name may be left out when the VMFile defines one VM. After `--`, one word is a shell command line of the guest, several are the words of a command; its exit status is passed on.'
  static override args = {name: Args.string({description: 'Name of the VM.'})}
  static override flags = {
    name: Flags.string({summary: 'Name of the VM, instead of the argument.'}),
    user: flags.user({summary: 'User to log in as.'}),
    key: Flags.string({summary: 'Path of a private key.', helpValue: 'PATH'}),
    stdio: Flags.boolean({
      summary: 'Join standard input and output to the SSH port of the VM, for ProxyCommand of `ssh`.',
      exclusive: ['user', 'key'],
    }),
    file: flags.file,
  }
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> web --user root',
    "<%= config.bin %> <%= command.id %> web -- 'df -h | tail -1'",
  ]

  async run(): Promise<{readonly name: string; readonly exitCode: number}> {
    const {before, after} = splitAtDashes(this.argv)
    const {args, flags: given} = await this.parse(Ssh, before)
    const engine = await this.openEngine(given)
    const [{openShell}, {joinSsh}] = await Promise.all([import('../engine/reach/ssh.ts'), import('../engine/reach/guest.ts')])
    const asked = given.name ?? args.name
    const vmfile = await this.vmfileIfAny(engine, given.file, asked === undefined)
    const {onlyVm} = await import('../engine/find.ts')
    const name = asked === undefined ? onlyVm(vmfile) : await this.vmNamed(engine, asked, given.file)
    if (given.stdio) {
      // Its end is that `ssh` hangs up.
      await joinSsh(engine, name).catch((error: unknown) => {
        if (!engine.signal.aborted) throw error
      })
      return {name, exitCode: 0}
    }
    const exitCode = await openShell(engine, name, {
      user: given.user,
      key: given.key,
      vmfile,
      command: after,
      directory: process.cwd(),
    })
    process.exitCode = exitCode
    return {name, exitCode}
  }
}

const splitAtDashes = (argv: readonly string[]): {before: string[]; after: string[]} => {
  const at = argv.indexOf('--')
  return at === -1 ? {before: [...argv], after: []} : {before: argv.slice(0, at), after: argv.slice(at + 1)}
}
