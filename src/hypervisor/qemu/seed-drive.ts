import {VmctlError} from '../../model/errors.ts'
import {seedDevice, seedNode} from './arguments.ts'
import type {QmpClient} from './qmp.ts'

/**
 * Puts the seed.iso of now into the seed drive of a running guest, in place of the file that QEMU has open. The commands are
 * such that the whole may be repeated from any point at which it was cut off.
 */
export const changeSeed = async (qmp: QmpClient, seedPath: string): Promise<void> => {
  const answer = await qmp.execute('query-block')
  const devices: readonly unknown[] = Array.isArray(answer) ? answer : []
  if (!devices.some((device) => isSeedDrive(device))) return
  // The guest may have locked the drive; it loses a disc that it has read long ago.
  await qmp.execute('blockdev-open-tray', {id: seedDevice, force: true})
  await qmp.execute('blockdev-remove-medium', {id: seedDevice})
  await qmp.execute('blockdev-del', {'node-name': seedNode(seedPath)['node-name']}).catch((error: unknown) => {
    if (!(error instanceof VmctlError) || !/find|exist/i.test(error.message)) throw error
  })
  await qmp.execute('blockdev-add', seedNode(seedPath))
  await qmp.execute('blockdev-insert-medium', {id: seedDevice, 'node-name': seedNode(seedPath)['node-name']})
  await qmp.execute('blockdev-close-tray', {id: seedDevice})
}

const isSeedDrive = (device: unknown): boolean =>
  typeof device === 'object' && device !== null && 'qdev' in device && String(device.qdev).split('/').at(-1) === seedDevice
