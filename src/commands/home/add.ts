import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'

import {VmctlCommand} from '../../cli/base-command.ts'
import {readToken} from '../../cli/token.ts'
import type {Home} from '../../engine/homes.ts'

export default class HomeAdd extends VmctlCommand {
  static override summary = 'Make an Incus server, or a cluster, a home for VMs.'
  static override description =
    'On the server, `incus config trust add NAME` prints a token (with `--restricted --projects P` for one project only). It says by which certificate the server is known and is good for once; vmctl checks that certificate, makes a key of its own, has the server trust it, and keeps both. Name every member of a cluster, so that one that is down is passed over; without a URL those of the token are taken. Add a home again to change its URLs or its project, without a token.'
  static override args = {
    home: Args.string({description: 'Name of the home.', required: true}),
    urls: Args.string({description: 'URLs of the server or of the members, or unix:PATH of a socket on this host.', multiple: true}),
  }
  static override flags = {
    token: Flags.string({
      summary: 'File that has the token; - is standard input. VMCTL_HOME_TOKEN may have it too.',
      helpValue: 'FILE',
    }),
    project: Flags.string({summary: 'Project of the server for VMs whose VMFile names none.', helpValue: 'NAME'}),
    renew: Flags.boolean({summary: 'Take the certificate that the token names, though the home has another one.'}),
  }
  static override examples = [
    '<%= config.bin %> <%= command.id %> lab https://10.0.0.11:8443 --token -',
    '<%= config.bin %> <%= command.id %> lab https://10.0.0.11:8443 https://10.0.0.12:8443 https://10.0.0.13:8443 --token token.txt',
    '<%= config.bin %> <%= command.id %> here unix:/var/lib/incus/unix.socket',
  ]

  async run(): Promise<{readonly home: Home}> {
    const {args, flags} = await this.parse(HomeAdd)
    const engine = await this.openEngine(flags)
    const token = await readToken(flags.token, {env: process.env, stdin: process.stdin, signal: this.signal})
    const {addHome} = await import('../../engine/manage/homes.ts')
    const {home, isNew} = await addHome(engine, {
      name: args.home,
      addresses: args.urls ?? [],
      token,
      project: flags.project,
      renew: flags.renew,
    })
    const project = home.project === undefined ? '' : `, project ${home.project}`
    this.log(`${home.name}: ${isNew ? 'added' : 'changed'}, ${home.addresses.join(', ')}${project}`)
    return {home}
  }
}
