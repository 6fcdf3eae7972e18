import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'

import {VmctlCommand} from '../cli/base-command.ts'
import {type EachVm, eachVm} from '../cli/each-vm.ts'
import {fetching, gigabytes, home, locking, megabytes} from '../cli/flags.ts'
import {VmctlError} from '../model/errors.ts'
import {vcpuLimits, memoryLimits} from '../model/limits.ts'
import type {LifecycleResult} from '../engine/vm/lifecycle.ts'

export default class Create extends VmctlCommand {
  static override summary = 'Make a VM from an image, without a VMFile.'
  static override args = {name: Args.string({description: 'Name of the VM.'})}
  static override examples = [
    '<%= config.bin %> <%= command.id %> web --image debian:12 --start',
    '<%= config.bin %> <%= command.id %> --name web --image ./debian.qcow2 --ssh-key ~/.ssh/id_ed25519.pub --start',
    '<%= config.bin %> <%= command.id %> --name web --image-url https://example.com/image.img --vcpus 4 --memory 4096 --disk 40',
  ]
  static override flags = {
    ...locking,
    ...fetching,
    name: Flags.string({summary: 'Name of the VM, instead of the argument.'}),
    image: Flags.string({summary: 'Path, URL or name (`debian:12`) of an image.', helpValue: 'IMAGE', exclusive: ['image-url']}),
    'image-url': Flags.string({summary: 'URL to download an image from.', helpValue: 'URL'}),
    vcpus: Flags.integer({summary: 'Virtual CPUs.', default: vcpuLimits.default, min: vcpuLimits.least, max: vcpuLimits.most}),
    memory: megabytes({summary: 'Memory, in MB or with a unit.', default: memoryLimits.default, defaultHelp: async () => '1024'}),
    disk: gigabytes({summary: 'Size of the disk, in GB or with a unit; that of the image by default.'}),
    bridge: Flags.string({summary: 'Bridge for TAP networking, instead of user networking.'}),
    home,
    'cloud-init': Flags.string({summary: 'Path of a cloud-init user-data file.', helpValue: 'PATH'}),
    'ssh-key': Flags.string({summary: 'Path of an SSH public key for the user "vm".', helpValue: 'PATH'}),
    uefi: Flags.boolean({summary: 'Boot with UEFI firmware.'}),
    start: Flags.boolean({summary: 'Start it as well.'}),
  }

  async run(): Promise<EachVm<LifecycleResult>> {
    const {args, flags} = await this.parse(Create)
    const engine = await this.openEngine(flags)
    const [{specFromOptions}, {create}] = await Promise.all([import('../engine/make/spec.ts'), import('../engine/vm/lifecycle.ts')])
    const spec = await specFromOptions({
      name: nameOf(args.name, flags.name),
      image: flags.image,
      imageUrl: flags['image-url'],
      vcpus: flags.vcpus,
      memoryBytes: flags.memory,
      diskBytes: flags.disk,
      bridge: flags.bridge,
      userData: flags['cloud-init'],
      sshKey: flags['ssh-key'],
      uefi: flags.uefi,
      home: engine.home,
      catalogue: (await engine.catalogue()).publishers,
      directory: process.cwd(),
    })
    if (flags['cloud-init'] !== undefined && flags['ssh-key'] !== undefined)
      this.tell('--ssh-key is ignored: the file of --cloud-init is passed to the guest untouched')
    const result = await create(engine, spec, {start: flags.start})
    this.log(`${result.name}: created (id: ${result.id})`)
    if (flags.start) this.log(`${result.name}: started`)
    return eachVm([result])
  }
}

const nameOf = (argument: string | undefined, flag: string | undefined): string => {
  if (argument !== undefined && flag !== undefined && argument !== flag) {
    throw new VmctlError('vmctl::usage::invalid', `Two names are given: ${argument} and ${flag}.`, {help: 'Give one of them.'})
  }
  const name = argument ?? flag
  if (name !== undefined) return name
  throw new VmctlError('vmctl::usage::invalid', 'No name is given.', {help: 'Name the VM: `vmctl create NAME --image IMAGE`.'})
}
