import * as flags from '../cli/flags.ts'
import {VmfileCommand} from '../cli/vmfile-command.ts'
import type {SshHost} from '../engine/reach/ssh-config.ts'

export default class SshConfig extends VmfileCommand {
  static override summary = 'Print an OpenSSH configuration for VMs.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> > .ssh-config && ssh -F .ssh-config web',
    '<%= config.bin %> <%= command.id %> web db',
  ]
  static override args = flags.existingVms
  static override flags = {file: flags.file}

  async run(): Promise<{readonly hosts: readonly SshHost[]}> {
    const {args, flags: given} = await this.parse(SshConfig)
    const engine = await this.openEngine(given)
    const {sshHosts} = await import('../engine/reach/ssh-config.ts')
    const names = await this.createdVms(engine, args.names, given.file)
    const hosts = await sshHosts(engine, names)
    this.log(
      hosts
        .map(({config}) => config)
        .join('\n')
        .trimEnd(),
    )
    return {hosts}
  }
}
