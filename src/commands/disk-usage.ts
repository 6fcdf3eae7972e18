import * as Flags from '@oclif/core/flags'

import {VmctlCommand} from '../cli/base-command.ts'
import {type Column, listing} from '../cli/table.ts'
import type {DiskUsage, UsageKind} from '../engine/manage/disk-usage.ts'
import {formatSize} from '../model/quantity.ts'

const columns: readonly Column[] = [
  {title: 'WHAT'},
  {title: 'COUNT', align: 'right', spare: 1},
  {title: 'ON DISK', align: 'right'},
  {title: 'SIZE', align: 'right', spare: 2},
  {title: 'PRUNABLE', align: 'right', spare: 3},
]

const eachColumns: readonly Column[] = [
  {title: 'WHAT', spare: 1},
  {title: 'NAME', long: 'cut'},
  {title: 'ON DISK', align: 'right'},
  {title: 'SIZE', align: 'right', spare: 2},
]

const words: Readonly<Record<UsageKind, string>> = {
  images: 'images',
  'partial-downloads': 'partial downloads',
  disks: 'disks of VMs',
  layers: 'layers of provision steps',
  volumes: 'volumes',
  logs: 'logs',
  records: 'records, keys, seeds',
  plugins: 'plugins',
  leftovers: 'half-made, left behind',
  other: 'other files',
}

export default class DiskUsageCommand extends VmctlCommand {
  static override aliases = ['df', 'system:df']
  static override summary = 'Show what takes how much room in the state directory.'
  static override description =
    'ON DISK is what is taken: holes count nothing, and a file with several names counts once. SIZE is the length of the files. PRUNABLE is what `vmctl image prune` would free of images, and `vmctl prune` of layers. A suspended VM keeps its memory in its process, not on the disk.'
  static override flags = {each: Flags.boolean({summary: 'A line for each image, VM and volume, the largest first.'})}
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --each']

  async run(): Promise<DiskUsage> {
    const {flags} = await this.parse(DiskUsageCommand)
    const engine = await this.openEngine(flags)
    const {diskUsage} = await import('../engine/manage/disk-usage.ts')
    const usage = await diskUsage(engine)
    this.log(flags.each ? eachTable(usage) : summaryTable(usage))
    return usage
  }
}

const summaryTable = ({kinds, allocatedBytes, sizeBytes, prunableBytes, prunableLayerBytes, freeBytes, directory}: DiskUsage): string => {
  const prunable: Partial<Record<UsageKind, number | undefined>> = {images: prunableBytes, layers: prunableLayerBytes}
  const ofKind = (kind: UsageKind): string => {
    const bytes = prunable[kind]
    return bytes === undefined ? '-' : formatSize(bytes)
  }
  const rows = kinds.map(({kind, count, ...room}) => [
    words[kind],
    `${count}`,
    formatSize(room.allocatedBytes),
    formatSize(room.sizeBytes),
    ofKind(kind),
  ])
  const all = ['total', '', formatSize(allocatedBytes), formatSize(sizeBytes), '']
  return `${listing(columns, [...rows, all], {empty: ''})}\n${directory}: ${formatSize(freeBytes)} free`
}

const eachTable = ({items}: DiskUsage): string =>
  listing(
    eachColumns,
    items.map(({kind, name, allocatedBytes, sizeBytes}) => [words[kind], name, formatSize(allocatedBytes), formatSize(sizeBytes)]),
    {empty: ''},
  )
