import {VmctlCommand} from '../cli/base-command.ts'
import {describePort} from '../cli/ps-table.ts'
import {type Column, listing} from '../cli/table.ts'
import type {ProjectSummary} from '../engine/show/projects.ts'

const columns: readonly Column[] = [
  {title: 'PROJECT'},
  {title: 'VMS', align: 'right'},
  {title: 'RUNNING', align: 'right'},
  {title: 'PORTS', long: 'wrap', spare: 1},
  {title: 'VMFILE', long: 'cut-beginning'},
]

export default class Projects extends VmctlCommand {
  static override summary = 'List the VMFiles that have VMs, with their projects.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --json']

  async run(): Promise<{readonly projects: readonly ProjectSummary[]}> {
    const {flags} = await this.parse(Projects)
    const engine = await this.openEngine(flags)
    const {listProjects} = await import('../engine/show/projects.ts')
    const projects = await listProjects(engine)
    const rows = projects.map(({project = '-', vmfile, vms, ports}) => [
      project,
      String(vms.length),
      String(vms.filter(({state}) => state === 'running').length),
      ports.map(describePort).join(', ') || '-',
      vmfile,
    ])
    this.log(listing(columns, rows, {empty: 'No VMFile has made a VM yet. `vmctl up` makes those of the one here.'}))
    return {projects}
  }
}
