import {fileURLToPath} from 'node:url'

import {Flags} from '@oclif/core'

import * as flags from '../cli/flags.ts'
import {VmfileCommand} from '../cli/vmfile-command.ts'
import type {Installation} from '../engine/manage/install.ts'

export default class Install extends VmfileCommand {
  static override summary = 'Bring the VMs of a VMFile up at boot, by a systemd unit.'
  static override description =
    'The unit runs `vmctl up` for the VMs whose `autostart` is not #false, and `vmctl down` when it stops; it never destroys a VM. By default it is a unit of the user, which needs no root.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --enable',
    '<%= config.bin %> <%= command.id %> --dry-run',
    'sudo <%= config.bin %> <%= command.id %> --system --enable',
  ]
  static override flags = {
    file: flags.file,
    system: Flags.boolean({summary: 'A unit of the system, which runs as the owner of the VMFile.'}),
    user: flags.user({dependsOn: ['system'], summary: 'Whose VMs they are in a unit of the system, instead of the owner of the VMFile.'}),
    enable: Flags.boolean({summary: 'Start it at every boot.'}),
    'dry-run': Flags.boolean({summary: 'Print the unit and do nothing.'}),
  }

  async run(): Promise<Installation> {
    const {flags: given} = await this.parse(Install)
    const engine = await this.openEngine(given)
    const vmfile = await this.readVmfile(engine, given.file, {toleratesMissing: true})
    const {install, planInstallation} = await import('../engine/manage/install.ts')
    const command = [process.execPath, fileURLToPath(new URL('../../bin/run.js', import.meta.url))]
    const options = {vmfile, system: given.system, user: given.user, command}
    const installation = given['dry-run']
      ? await planInstallation(engine, options)
      : await install(engine, {...options, enable: given.enable})
    if (given['dry-run']) this.log(installation.text.trimEnd())
    else this.log(`${installation.path} is installed${given.enable ? ' and enabled' : ''}.`)
    for (const notice of installation.notices) this.tell(`Note: ${notice}.`)
    return installation
  }
}
