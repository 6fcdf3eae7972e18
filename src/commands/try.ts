import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'

import * as flags from '../cli/flags.ts'
import {VmfileCommand} from '../cli/vmfile-command.ts'
import type {Engine} from '../engine/engine.ts'
import type {RemovedFork} from '../engine/fork/remove-fork.ts'
import type {Tried} from '../engine/fork/try.ts'
import {VmctlError} from '../model/errors.ts'
import {formatDuration} from '../model/quantity.ts'

export default class Try extends VmfileCommand {
  static override summary = 'Run a command against a temporary fork of VMs.'
  static override description =
    'The fork has what the VMs have at this instant, memory too where they run, on a network of its own; they go on as they were, and notice nothing of what is done to it. `vmctl` in the command finds the fork in place of the VMs (VMCTL_STATE_DIR); `VMCTL_WEB_80` is the address that leads to port 80 of `web`. The exit status of the command is passed on. Guests of a fork have host keys, machine-ids and ports of their own.'
  static override strict = false
  static override args = {
    names: Args.string({multiple: true, description: 'VMs, services or a project; those of the VMFile when none is named.'}),
  }
  static override flags = {
    ...flags.locking,
    file: flags.file,
    keep: Flags.boolean({default: false, summary: 'Leave the fork as it is, running.'}),
    'disk-only': Flags.boolean({default: false, summary: 'Boot the guests from the disks, also those that run.'}),
    remove: Flags.string({summary: 'Remove a fork that was kept or left over, and do nothing else.', helpValue: 'FORK'}),
  }
  static override examples = [
    '<%= config.bin %> <%= command.id %> -- vmctl exec db psql -f migration.sql',
    '<%= config.bin %> <%= command.id %> web db -- sh -c \'curl --fail "http://$VMCTL_WEB_80/"\'',
    '<%= config.bin %> <%= command.id %> --keep -- make smoke-test',
  ]

  async run(): Promise<Tried | RemovedFork> {
    const dashes = this.argv.indexOf('--')
    const own = dashes === -1 ? this.argv : this.argv.slice(0, dashes)
    const [program, ...words] = dashes === -1 ? [] : this.argv.slice(dashes + 1)
    const {args, flags: given} = await this.parse(Try, [...own])
    const engine = await this.openEngine(given)
    if (given.remove !== undefined) return this.#remove(engine, given.remove)
    if (program === undefined) {
      throw new VmctlError('vmctl::usage::invalid', 'No command is given.', {help: 'Write it behind two dashes: `vmctl try -- COMMAND`.'})
    }
    const vms = await this.createdVms(engine, args.names ? [args.names].flat() : [], given.file)
    if (vms.length === 0)
      throw new VmctlError('vmctl::vm::not_found', 'None of the VMs is created yet.', {help: 'Create them with `vmctl up`.'})
    const {tryCommand} = await import('../engine/fork/try.ts')
    const vmfile = await this.vmfileIfAny(engine, given.file, false)
    const tried = await tryCommand(engine, {
      ...{vms, command: [program, ...words], keep: given.keep, diskOnly: given['disk-only']},
      ...{vmfile: vmfile?.path, quiet: this.jsonEnabled()},
      onReady: ({fork, readyMs, hasMemory}) => {
        this.tell(`fork ${fork} of ${vms.join(', ')}: ready after ${formatDuration(readyMs)}${hasMemory ? '' : ', booted from the disks'}`)
      },
    })
    await this.settle()
    if (given.keep) {
      const directory = `${engine.store.directory}/forks/${tried.fork}`
      this.tell(
        `fork ${tried.fork} is kept: \`vmctl ps --all --state-dir ${directory}\` shows it, \`vmctl try --remove ${tried.fork}\` removes it`,
      )
    }
    process.exitCode = tried.exitCode
    return tried
  }

  async #remove(engine: Engine, id: string): Promise<RemovedFork> {
    const {removeFork} = await import('../engine/fork/remove-fork.ts')
    const removed = await removeFork(engine, id)
    await this.settle()
    this.log(`fork ${id}: removed`)
    return removed
  }
}
