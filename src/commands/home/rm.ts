import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'

import {VmctlCommand} from '../../cli/base-command.ts'
import type {RemovedHome} from '../../engine/manage/homes.ts'

export default class HomeRm extends VmctlCommand {
  static override summary = 'Forget a home, and have its server forget it.'
  static override description =
    'The key by which the server knew vmctl is removed on both sides. Nothing else changes on the server. A home in which VMs live stays, unless --force says otherwise; such VMs are out of reach until a home of that name is added again.'
  static override args = {home: Args.string({description: 'Name of the home, as `home ls` shows it.', required: true})}
  static override flags = {force: Flags.boolean({summary: 'Also when VMs live there.'})}
  static override examples = ['<%= config.bin %> <%= command.id %> lab']

  async run(): Promise<RemovedHome> {
    const {args, flags} = await this.parse(HomeRm)
    const engine = await this.openEngine(flags)
    const {removeHome} = await import('../../engine/manage/homes.ts')
    const result = await removeHome(engine, args.home, {force: flags.force})
    if (result.remains !== undefined) this.warn(`The server still trusts the key, which is gone here. ${result.remains}`)
    this.log(`${result.removed}: removed`)
    return result
  }
}
