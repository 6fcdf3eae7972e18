import * as Args from '@oclif/core/args'

import {VmctlCommand} from '../../cli/base-command.ts'

export default class NetworkRm extends VmctlCommand {
  static override summary = 'Remove a network whose VMs are at rest.'
  static override description =
    'Its hub, or its bridge with DHCP, DNS and NAT, ends, and its subnet and addresses are forgotten. VMs of it stay; the next `up` makes the network anew, and its VMs get new addresses when they start.'
  static override args = {network: Args.string({description: 'Name of the network, as `network ls` shows it.', required: true})}
  static override examples = ['<%= config.bin %> <%= command.id %> shop.default']

  async run(): Promise<{readonly removed: string}> {
    const {args, flags} = await this.parse(NetworkRm)
    const engine = await this.openEngine(flags)
    const {removeNetworkByName} = await import('../../engine/resources/network-list.ts')
    const {id} = await removeNetworkByName(engine, args.network)
    this.log(`${id}: removed`)
    return {removed: id}
  }
}
