import * as Flags from '@oclif/core/flags'

import * as flags from '../cli/flags.ts'
import {openLiveText} from '../cli/live-text.ts'
import {describeRows, psColumns} from '../cli/ps-table.ts'
import {listing} from '../cli/table.ts'
import {noVms} from '../cli/vm-words.ts'
import {VmfileCommand} from '../cli/vmfile-command.ts'
import type {Engine} from '../engine/engine.ts'
import type {PsRow, PsScope} from '../engine/show/ps.ts'

const patienceMs = 300_000

export default class Ps extends VmfileCommand {
  static override summary = 'Show the state, health, addresses and ports of VMs.'
  static override description =
    'Runs the `healthcheck` of each VM that has one, all at once. Takes no lock, so it answers while another vmctl works. A VM that runs is `starting` until its guest greets by SSH, has finished cloud-init and was once seen to have; then it is `ready`. `--wait` ends when every VM that runs is ready, and healthy where it has a health check. Without a VMFile, all of your VMs are shown.'
  static override args = flags.vmArguments
  static override flags = {
    file: flags.file,
    all: Flags.boolean({char: 'a', summary: 'All of your VMs, not only those of the VMFile.', exclusive: ['file']}),
    wait: Flags.boolean({summary: 'Wait until the VMs are ready and healthy.'}),
    timeout: flags.duration({dependsOn: ['wait'], summary: 'How long to wait (default: 5 minutes).'}),
    watch: Flags.boolean({char: 'w', summary: 'Refresh until Ctrl+C.', exclusive: ['wait', 'json']}),
    interval: flags.duration({dependsOn: ['watch'], summary: 'Refresh interval (default: 2 seconds).'}),
  }
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --wait --timeout 2m',
    '<%= config.bin %> <%= command.id %> --all --watch',
  ]

  protected override readonly onlyPrints = true

  async run(): Promise<{readonly vms: readonly PsRow[]}> {
    const {args, flags: given} = await this.parse(Ps)
    const engine = await this.openEngine(given)
    const scope = await this.#scope(engine, flags.namesOf(args, {}), given)
    const {openPs, waitForHealth, watch} = await import('../engine/show/ps.ts')
    using ps = openPs(engine, scope, {asksNew: given.wait})
    if (given.watch) {
      using live = openLiveText(process.stdout)
      await watch(engine, ps, {everyMs: given.interval ?? 2000, onRows: (rows) => live.show(psColumns, describeRows(rows))})
      return {vms: []}
    }
    const vms = given.wait ? await waitForHealth(engine, ps, {timeoutMs: given.timeout ?? patienceMs}) : await ps.look()
    this.log(listing(psColumns, describeRows(vms), {empty: noVms}))
    for (const {name, error, pause, problems = []} of vms) {
      for (const problem of error === undefined ? [...(pause === undefined ? [] : [pause]), ...problems] : [error])
        this.tell(`Warning: ${name}: ${problem}`)
    }
    await this.tellForks(engine)
    return {vms}
  }
  /** The VMs of the VMFile; without one, those that are named, or all. */
  async #scope(engine: Engine, asked: readonly string[], {all, file}: {all: boolean; file?: string | undefined}): Promise<PsScope> {
    const vmfile = all ? undefined : await this.vmfileIfAny(engine, file, true)
    return {vmfile, names: vmfile || asked.length === 0 ? asked : await this.createdVms(engine, asked)}
  }
}
