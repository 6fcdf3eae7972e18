import {VmctlCommand} from '../cli/base-command.ts'
import {table} from '../cli/table.ts'
import type {VmSummary} from '../engine/show/inspect.ts'

export default class List extends VmctlCommand {
  static override aliases = ['ls']
  static override summary = 'List your VMs.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --json']

  async run(): Promise<{readonly vms: readonly VmSummary[]}> {
    const {flags} = await this.parse(List)
    const engine = await this.openEngine(flags)
    const {list} = await import('../engine/show/inspect.ts')
    const vms = await list(engine)
    const rows = vms.map((vm) =>
      [vm.name, vm.state, vm.backend, vm.vcpus, vm.memoryMiB, vm.network, vm.pid, vm.sshPort].map((cell) => String(cell ?? '-')),
    )
    this.log(rows.length === 0 ? 'No VMs found.' : table(['NAME', 'STATE', 'BACKEND', 'VCPUS', 'MEM', 'NETWORK', 'PID', 'SSH'], rows))
    for (const {name, error} of vms) if (error !== undefined) this.tell(`Warning: ${name}: ${error}`)
    return {vms}
  }
}
