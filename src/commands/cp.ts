import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'

import {VmctlCommand} from '../cli/base-command.ts'
import type {CopyResult} from '../engine/reach/copy.ts'

export default class Cp extends VmctlCommand {
  static override summary = 'Copy a file or a directory into a VM or out of it.'
  static override description =
    'One of the two paths is NAME:PATH; a relative PATH starts at the home directory of the user. A destination that ends in /, or is . or .., is a directory to copy into, and so is, for a file, one that exists; any other destination is what the copy is called. Of a directory only what differs is sent into the VM. What the destination has besides stays.'
  static override args = {
    source: Args.string({description: 'What to copy.', required: true}),
    destination: Args.string({description: 'Where it goes.', required: true}),
  }
  static override flags = {privileged: Flags.boolean({summary: 'Read or write as root in the VM.'})}
  static override examples = [
    '<%= config.bin %> <%= command.id %> ./app web:/srv/app',
    '<%= config.bin %> <%= command.id %> web:/etc/hosts .',
    '<%= config.bin %> <%= command.id %> --privileged web:/var/log/nginx logs',
  ]

  async run(): Promise<CopyResult> {
    const {args, flags} = await this.parse(Cp)
    const engine = await this.openEngine(flags)
    const {copy, parsePlace} = await import('../engine/reach/copy.ts')
    const result = await copy(engine, {
      from: parsePlace(args.source),
      to: parsePlace(args.destination),
      directory: process.cwd(),
      privileged: flags.privileged,
    })
    const {from, to, sent, unchanged} = result
    this.log(`${from} → ${to}${sent === undefined ? '' : ` (${sent} sent, ${unchanged} unchanged)`}`)
    return result
  }
}
