import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'

import {VmctlCommand} from '../cli/base-command.ts'
import {gigabytes, megabytes, newUser, vmName} from '../cli/flags.ts'
import {splitProgram} from '../cli/program-words.ts'
import type {RunResult} from '../engine/run-once.ts'
import {VmctlError} from '../model/errors.ts'

export default class Run extends VmctlCommand {
  static override summary = 'Make a VM from an image and run a program in it, or a shell.'
  static override description =
    'What follows the image is a program and its arguments, which reach the guest as they are; its exit status is passed on. The VM stays unless --rm is given. It needs an image with cloud-init.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --rm debian:12 uname -a',
    '<%= config.bin %> <%= command.id %> --rm --memory 2G ./image.qcow2',
  ]
  static override strict = false
  static override args = {image: Args.string({description: 'Path, URL or alias (`debian:12`) of an image.'})}
  static override flags = {
    rm: Flags.boolean({summary: 'Destroy the VM at the end.'}),
    name: vmName({summary: 'Name of the VM (default: generated).'}),
    user: newUser({char: 'u', summary: 'User to create and to log in as.'}),
    vcpus: Flags.integer({summary: 'Virtual CPUs.', default: 1, min: 1, max: 1024}),
    memory: megabytes({summary: 'Memory, in MB or with a unit.', default: 2 ** 30, defaultHelp: async () => '1024'}),
    disk: gigabytes({summary: 'Size of the disk, in GB or with a unit; that of the image by default.'}),
    uefi: Flags.boolean({summary: 'Boot with UEFI firmware.'}),
  }

  async run(): Promise<RunResult> {
    const {own, rest} = splitProgram(this.argv, {...Run.baseFlags, ...Run.flags})
    const {flags} = await this.parse(Run, own)
    const [image, ...words] = rest
    if (image === undefined || image === '--')
      throw new VmctlError('vmctl::usage::invalid', 'No image is named.', {help: 'Write `vmctl run IMAGE [PROGRAM [ARGUMENT...]]`.'})
    const engine = await this.openEngine(flags)
    const {runOnce} = await import('../engine/run-once.ts')
    const {name, user, vcpus, uefi, rm: remove} = flags
    const result = await runOnce(engine, {
      image,
      name,
      user,
      vcpus,
      memoryBytes: flags.memory,
      diskBytes: flags.disk,
      uefi,
      remove,
      command: words[0] === '--' ? words.slice(1) : words,
      directory: process.cwd(),
    })
    if (!remove) this.tell(`The VM stays: vmctl ssh ${result.name} · vmctl destroy ${result.name}`)
    process.exitCode = result.exitCode
    return result
  }
}
