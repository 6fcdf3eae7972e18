import {mkdirSync, symlinkSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {beforeEach, describe, expect, test} from 'vitest'

import {temporaryDirectory} from '../../../test/support/builders.ts'
import {needsUser, testUnless} from '../../../test/support/programs.ts'
import {listPciDevices, readPciNames} from '../../host/pci.ts'
import {isVmctlError} from '../../model/errors.ts'
import {checkDevices, deviceArguments, type PciHost} from './pci.ts'

let root: string
let host: PciHost
beforeEach(() => {
  root = temporaryDirectory()
  host = {sysfs: join(root, 'sys'), vfio: join(root, 'vfio'), limits: join(root, 'limits')}
  mkdirSync(host.vfio)
  writeFileSync(host.limits, 'Limit  Soft Limit  Hard Limit  Units\nMax locked memory         unlimited  unlimited  bytes\n')
})

/** Makes a device of a made-up sysfs; `driver` and `group` become links, as in the real one. */
const device = (address: string, facts: {classCode?: string; driver?: string; group?: string} = {}): void => {
  const directory = join(host.sysfs, 'bus/pci/devices', address)
  mkdirSync(directory, {recursive: true})
  writeFileSync(join(directory, 'class'), `${facts.classCode ?? '0x030000'}\n`)
  writeFileSync(join(directory, 'vendor'), '0x10de\n')
  writeFileSync(join(directory, 'device'), '0x2204\n')
  if (facts.driver) symlinkSync(`../../../../bus/pci/drivers/${facts.driver}`, join(directory, 'driver'))
  if (facts.group) symlinkSync(`../../../../kernel/iommu_groups/${facts.group}`, join(directory, 'iommu_group'))
}

const gpu = '0000:01:00.0'
const checked = (addresses: readonly string[] = [gpu], memoryMiB = 1024): Promise<string> =>
  checkDevices({devices: addresses.map((address) => ({address})), memoryMiB}, host).then(
    () => 'fine',
    (error: unknown) => (isVmctlError(error) ? `${error.code}: ${error.message} ${error.help}` : String(error)),
  )

test('a device that is bound with its group, bridges aside', async () => {
  device('0000:00:01.0', {classCode: '0x060400', driver: 'pcieport', group: '7'})
  device(gpu, {driver: 'vfio-pci', group: '7'})
  device('0000:01:00.1', {classCode: '0x040300', group: '7'})
  writeFileSync(join(host.vfio, '7'), '')
  expect(await checked()).toBe('fine')
  expect(await checkDevices({memoryMiB: 64}, host)).toBeUndefined()
})

describe('is refused before anything starts:', () => {
  test('a device that does not exist', async () => {
    expect(await checked()).toContain(`vmctl::device::unavailable: There is no PCI device ${gpu}`)
  })
  test('no IOMMU', async () => {
    device(gpu, {driver: 'vfio-pci'})
    expect(await checked()).toContain('the IOMMU is off')
  })
  test.each([
    ['nouveau', 'is in use by nouveau'],
    [undefined, 'is not bound to a driver'],
  ])('a device with the driver %s', async (driver, message) => {
    device(gpu, {group: '7', ...(driver && {driver})})
    expect(await checked()).toMatch(new RegExp(`${message}.*driverctl set-override ${gpu} vfio-pci`))
  })
  test('a member of the group that the host uses', async () => {
    device(gpu, {driver: 'vfio-pci', group: '7'})
    device('0000:01:00.1', {classCode: '0x040300', driver: 'snd_hda_intel', group: '7'})
    expect(await checked()).toContain(`0000:01:00.1, which shares the IOMMU group 7 with ${gpu}, is in use by snd_hda_intel`)
  })
  test('a group that may not be opened', async () => {
    device(gpu, {driver: 'vfio-pci', group: '7'})
    expect(await checked()).toContain(`${join(host.vfio, '7')} of the PCI device ${gpu} may not be opened`)
  })
  testUnless(needsUser())('a limit of locked memory', async () => {
    device(gpu, {driver: 'vfio-pci', group: '7'})
    writeFileSync(join(host.vfio, '7'), '')
    writeFileSync(host.limits, 'Max locked memory         8388608              8388608              bytes\n')
    expect(await checked()).toContain('needs 1280 MiB of locked memory; this process may lock 8 MiB')
  })
})

test('arguments are JSON, so that no character of a path has a meaning', () => {
  expect(deviceArguments([{address: gpu, romFile: '/a,b="c".rom'}, {address: '0000:01:00.1'}])).toEqual([
    '-device',
    `{"driver":"vfio-pci","host":"${gpu}","romfile":"/a,b=\\"c\\".rom"}`,
    '-device',
    '{"driver":"vfio-pci","host":"0000:01:00.1"}',
  ])
})

test('the list of devices, and their names', async () => {
  device(gpu, {driver: 'nouveau', group: '7'})
  device('0000:00:02.0', {classCode: '0x020000'})
  expect(await listPciDevices(host.sysfs)).toEqual([
    {address: '0000:00:02.0', classCode: 0x02_00_00, vendor: '10de', device: '2204'},
    {address: gpu, classCode: 0x03_00_00, vendor: '10de', device: '2204', driver: 'nouveau', iommuGroup: '7'},
  ])
  expect(await listPciDevices(join(root, 'nothing'))).toEqual([])
  const ids = join(root, 'pci.ids')
  writeFileSync(
    ids,
    '# comment\n10de  NVIDIA Corporation\n\t2204  GA102 [GeForce RTX 3090]\n\t\t1462 3884  Sub\nC 03  Display\n\t00  VGA\n',
  )
  expect([...(await readPciNames([join(root, 'none'), ids]))]).toEqual([
    ['10de', 'NVIDIA Corporation'],
    ['10de:2204', 'GA102 [GeForce RTX 3090]'],
  ])
})
