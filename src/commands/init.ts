import * as Args from '@oclif/core/args'

import {VmctlCommand} from '../cli/base-command.ts'
import type {InitResult} from '../engine/manage/init.ts'

export default class Init extends VmctlCommand {
  static override summary = 'Write a commented VMFile.kdl for one VM.'
  static override description =
    'The VM has the name of the directory. A VMFile that is there is never replaced, and in a directory with a Vagrantfile or another file that `vmctl import` reads an image must be named.'
  static override args = {image: Args.string({description: 'Path, URL or alias (`debian:12`) of an image; `debian:12` when absent.'})}
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> ubuntu:24.04']

  async run(): Promise<InitResult> {
    const {args, flags} = await this.parse(Init)
    const engine = await this.openEngine(flags)
    const {initVmfile} = await import('../engine/manage/init.ts')
    const result = await initVmfile(engine, args.image, process.cwd())
    this.log(`VMFile.kdl is written; it defines ${result.vm}.`)
    this.tell(`Next: vmctl up${engine.env.VMCTL_FILE ? ' --file VMFile.kdl' : ''}, then vmctl ssh ${result.vm}`)
    return result
  }
}
