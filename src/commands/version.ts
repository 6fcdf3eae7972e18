import * as Flags from '@oclif/core/flags'

import {VmctlCommand} from '../cli/base-command.ts'

export default class Version extends VmctlCommand {
  static override summary = 'Print the version of vmctl and what it runs on.'
  static override flags = {short: Flags.boolean({summary: 'Only the number.'})}
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --json']

  async run(): Promise<{readonly version: string; readonly platform: string; readonly arch: string; readonly node: string}> {
    const {flags} = await this.parse(Version)
    const {version} = this.config
    const {platform, arch, version: node} = process
    this.log(flags.short ? version : `vmctl/${version} ${platform}-${arch} node-${node}`)
    return {version, platform, arch, node}
  }
}
