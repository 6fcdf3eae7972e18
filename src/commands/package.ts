import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'

import {VmctlCommand} from '../cli/base-command.ts'
import * as flags from '../cli/flags.ts'
import type {Packaged} from '../engine/manage/package.ts'
import {packageFormats} from '../model/package-format.ts'
import {formatSize} from '../model/quantity.ts'

export default class Package extends VmctlCommand {
  static override summary = 'Make an image of a VM that others can use.'
  static override description =
    'The image has no identity and no secrets of the VM: machine-id, host keys, authorized keys, histories, logs, temporary files and what cloud-init and vmctl have made are removed, and what was deleted is not in it. User accounts, programs and their data stay; volumes and shares are not in it. All of that is done on a copy without network. The VM goes on as it was; if it runs, it is stopped for as long as its disk is copied. `FILE.json` says what the image was made from.'
  static override args = {name: Args.string({required: true, description: 'Name of the VM.'})}
  static override flags = {
    ...flags.locking,
    file: flags.file,
    output: Flags.string({char: 'o', summary: 'File to write (default: NAME.qcow2 in this directory).', helpValue: 'FILE'}),
    format: Flags.option({options: packageFormats})({
      summary:
        'Format of the image (default: as the name of the file ends). box: for Vagrant with libvirt; incus: qcow2 with metadata for Incus.',
    }),
    keep: Flags.string({multiple: true, summary: 'Path in the guest that is not removed; may be repeated.', helpValue: 'PATH'}),
    'no-clean': Flags.boolean({summary: 'Take the disk as it is, with identity, secrets and traces, for yourself only.'}),
    force: Flags.boolean({summary: 'Replace files that are there.'}),
    yes: flags.yes,
  }
  static override examples = [
    '<%= config.bin %> <%= command.id %> web',
    '<%= config.bin %> <%= command.id %> web --output web.box',
    '<%= config.bin %> <%= command.id %> web --format incus --keep /etc/ssh/ssh_known_hosts',
  ]

  async run(): Promise<Packaged> {
    const {args, flags: given} = await this.parse(Package)
    const engine = await this.openEngine(given)
    const [{packageVm}, name] = await Promise.all([import('../engine/manage/package.ts'), this.vmNamed(engine, args.name, given.file)])
    const {output, format, force, keep = []} = given
    const made = await packageVm(engine, name, {
      ...{output, format, force, keep, clean: !given['no-clean']},
      directory: process.cwd(),
      version: this.config.version,
      onStop: async () => this.#confirmStop(name, given.yes),
    })
    await this.settle()
    this.log(`${name}: packaged as ${made.path} (${made.format}, ${formatSize(made.sizeBytes)})`)
    return made
  }

  async #confirmStop(name: string, yes: boolean): Promise<void> {
    if (yes || this.jsonEnabled()) return
    const {canAsk, confirm} = await import('../cli/confirm.ts')
    const what = `package stops ${name} for as long as its disk is copied, and starts it again. Nothing on its disk changes; connections to it end.`
    if (canAsk()) await this.above(() => confirm({what, losses: []}, this.signal))
  }
}
