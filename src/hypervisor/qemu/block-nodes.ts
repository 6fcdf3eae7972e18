import {finishLayer, idOfNext, nextPath, undoLayer} from '../../host/disk-layers.ts'
import {overlayIn} from '../local-disk.ts'
import type {Vm} from '../../model/vm.ts'
import type {QmpClient} from './qmp.ts'

/** A disk of a running VM that the guest may write to, and the name that its first node has on QEMU's command line. */
export interface RunningDisk {
  readonly path: string
  readonly node: string
}

export const runningDisks = ({directory, attachments}: Vm): RunningDisk[] => [
  {path: overlayIn(directory), node: 'disk'},
  ...(attachments?.disks ?? []).flatMap(({path, readOnly}, index) => (readOnly ? [] : [{path, node: `volume${index}`}])),
]

/** The node that a checkpoint puts on top of a disk. */
const nodeOf = ({node}: RunningDisk, id: string): string => `${node}-${id}`

/** The nodes on which devices of the guest are. */
const deviceNodes = async (qmp: QmpClient): Promise<readonly string[]> => {
  const devices = await qmp.execute('query-block')
  if (!Array.isArray(devices)) return []
  return devices.flatMap((device: {readonly inserted?: {readonly 'node-name'?: string}}) => device.inserted?.['node-name'] ?? [])
}

const isOf = ({node}: RunningDisk, name: string): boolean => name === node || name.startsWith(`${node}-`)

/**
 * Makes QEMU open the next top of a disk, which nobody uses yet. The file is a node of its own: one that belongs to the node above is
 * opened anew by its name when that becomes a lower layer, and by then the name is another file's.
 */
export const addNext = async (qmp: QmpClient, disk: RunningDisk, id: string): Promise<void> => {
  const node = nodeOf(disk, id)
  await qmp.execute('blockdev-add', {'node-name': fileOf(node), driver: 'file', filename: nextPath(disk.path), discard: 'unmap'})
  // What is below it is open already.
  await qmp.execute('blockdev-add', {'node-name': node, driver: 'qcow2', discard: 'unmap', backing: null, file: fileOf(node)})
}

const fileOf = (node: string): string => `${node}-file`

/** Takes that back, as far as it was done. */
export const forgetNext = async (qmp: QmpClient, disk: RunningDisk, id: string): Promise<void> => {
  const node = nodeOf(disk, id)
  for (const name of [node, fileOf(node)]) await qmp.execute('blockdev-del', {'node-name': name}).catch(() => undefined)
}

/** From here on the writes of the guest go to the next tops, of all disks or of none. */
export const switchToNext = async (qmp: QmpClient, disks: readonly RunningDisk[], id: string): Promise<void> => {
  const tops = await deviceNodes(qmp)
  const actions = disks.map((disk) => ({
    type: 'blockdev-snapshot',
    data: {node: tops.find((name) => isOf(disk, name)) ?? disk.node, overlay: nodeOf(disk, id)},
  }))
  await qmp.execute('transaction', {actions}, 30_000)
}

/**
 * Brings the files of disks in order whose change of the top was interrupted while QEMU runs: it is finished where the guest writes to
 * the next top already, and taken back elsewhere.
 */
export const recoverTops = async (qmp: QmpClient, disks: readonly RunningDisk[]): Promise<void> => {
  const tops = await deviceNodes(qmp)
  for (const disk of disks) {
    const id = await idOfNext(disk.path)
    if (id === undefined) continue
    if (tops.includes(nodeOf(disk, id))) {
      await finishLayer(disk.path)
      continue
    }
    await forgetNext(qmp, disk, id)
    await undoLayer(disk.path, id)
  }
}
