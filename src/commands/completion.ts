import * as Args from '@oclif/core/args'

import {VmctlCommand} from '../cli/base-command.ts'
import {completionScripts, shells} from '../cli/completion-scripts.ts'

export default class Completion extends VmctlCommand {
  static override summary = 'Print a script that completes vmctl commands in a shell.'
  static override description =
    'It completes commands, flags with their values, and the names of VMs, services, volumes, networks and images. Each shell reads the script from where the examples write it, when a new one starts; zsh if that directory is in its `fpath`.'
  static override args = {shell: Args.string({description: 'bash, zsh or fish.', required: true, options: [...shells]})}
  static override examples = [
    '<%= config.bin %> <%= command.id %> bash > ~/.local/share/bash-completion/completions/vmctl',
    '<%= config.bin %> <%= command.id %> zsh > ~/.zfunc/_vmctl',
    '<%= config.bin %> <%= command.id %> fish > ~/.config/fish/completions/vmctl.fish',
    'source <(<%= config.bin %> <%= command.id %> bash)',
  ]

  async run(): Promise<{readonly shell: string; readonly script: string}> {
    const {args} = await this.parse(Completion)
    const shell = shells.find((one) => one === args.shell) ?? 'bash'
    const script = completionScripts[shell]
    this.log(script.trimEnd())
    return {shell, script}
  }
}
