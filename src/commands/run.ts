import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'

import {VmctlCommand} from '../cli/base-command.ts'
import {fetching, gigabytes, megabytes, newUser} from '../cli/flags.ts'
import {splitProgram} from '../cli/program-words.ts'
import type {RunResult} from '../engine/vm/run-once.ts'
import {VmctlError} from '../model/errors.ts'
import {vcpuLimits, memoryLimits} from '../model/limits.ts'

const several = (options: {readonly char?: 'p'; readonly summary: string; readonly helpValue: string}) =>
  Flags.string({...options, multiple: true, multipleNonGreedy: true})

export default class Run extends VmctlCommand {
  static override summary = 'Run a program, or a shell, in a new VM.'
  static override description =
    'The program and its arguments reach the guest as they are; its exit status is passed on. The VM stays unless --rm is given. It needs an image with cloud-init.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --rm debian:12 uname -a',
    '<%= config.bin %> <%= command.id %> --rm --memory 2G ./image.qcow2',
    '<%= config.bin %> <%= command.id %> -p 8080:80 --share ./www:/var/www/html:ro --package nginx debian:12',
  ]
  static override strict = false
  static override args = {image: Args.string({description: 'Path, URL or alias (`debian:12`) of an image.'})}
  static override flags = {
    ...fetching,
    rm: Flags.boolean({summary: 'Destroy the VM at the end.'}),
    name: Flags.string({summary: 'Name of the VM (default: generated).'}),
    user: newUser({char: 'u', summary: 'User to create and to log in as.'}),
    vcpus: Flags.integer({summary: 'Virtual CPUs.', default: vcpuLimits.default, min: vcpuLimits.least, max: vcpuLimits.most}),
    memory: megabytes({summary: 'Memory, in MB or with a unit.', default: memoryLimits.default, defaultHelp: async () => '1024'}),
    disk: gigabytes({summary: 'Size of the disk, in GB or with a unit; that of the image by default.'}),
    uefi: Flags.boolean({summary: 'Boot with UEFI firmware.'}),
    port: several({char: 'p', summary: 'Forward a port of the host, as in `port`: 8080:80.', helpValue: 'HOST:GUEST'}),
    share: several({summary: 'Show a folder or file of the host in the VM.', helpValue: 'SOURCE:TARGET[:ro]'}),
    volume: several({summary: 'Mount a volume, which is made when it does not exist and outlives the VM.', helpValue: 'NAME:TARGET[:ro]'}),
    package: several({summary: 'Install a package at the first boot.', helpValue: 'NAME'}),
    runcmd: several({summary: 'Run a command at the end of the first boot, as root.', helpValue: 'COMMAND'}),
    device: several({summary: 'Pass a PCI device of the host through.', helpValue: 'ADDRESS'}),
  }

  async run(): Promise<RunResult> {
    const {own, rest} = splitProgram(this.argv, {...Run.baseFlags, ...Run.flags})
    const {flags} = await this.parse(Run, own)
    const [image, ...words] = rest
    if (image === undefined || image === '--')
      throw new VmctlError('vmctl::usage::invalid', 'No image is named.', {help: 'Write `vmctl run IMAGE [PROGRAM [ARGUMENT...]]`.'})
    const engine = await this.openEngine(flags)
    const {runOnce} = await import('../engine/vm/run-once.ts')
    const {name, user, vcpus, uefi, rm: remove, port, share, volume, runcmd, device} = flags
    const result = await runOnce(engine, {
      image,
      name,
      user,
      vcpus,
      memoryBytes: flags.memory,
      diskBytes: flags.disk,
      uefi,
      extras: {port, share, volume, package: flags.package, runcmd, device},
      remove,
      command: words[0] === '--' ? words.slice(1) : words,
      directory: process.cwd(),
    })
    if (!remove) this.tell(`The VM stays: vmctl ssh ${result.name} · vmctl destroy ${result.name}`)
    process.exitCode = result.exitCode
    return result
  }
}
