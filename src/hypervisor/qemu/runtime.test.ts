import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {expect, test} from 'vitest'

import {makeVm, temporaryDirectory} from '../../../test/support/builders.ts'
import {holdingOf, type QemuRuntime, readRuntime, writeRuntime} from './runtime.ts'
import {checkBridge} from '../../host/net-admin.ts'
import {tapName} from './tap.ts'

const runtime: QemuRuntime = {
  schema: 1,
  name: 'web',
  macAddress: '52:54:00:12:34:56',
  sshPort: 10_022,
  process: {pid: 7, startTime: '100', bootId: 'b'},
  accelerator: 'tcg',
}

test('what was written comes back; every truncation of it is nothing', async () => {
  const directory = temporaryDirectory()
  expect(await readRuntime(directory)).toBeUndefined()
  await writeRuntime(directory, runtime)
  expect(await readRuntime(directory)).toEqual(runtime)
  const path = join(directory, 'qemu.json')
  const whole = readFileSync(path)
  for (let length = 0; length < whole.length - 2; length++) {
    writeFileSync(path, whole.subarray(0, length))
    expect(await readRuntime(directory)).toBeUndefined()
  }
})

test.each([
  [{macAddress: 7}],
  [{name: undefined}],
  [{sshPort: '22'}],
  [{sshPort: 0}],
  [{sshPort: 65_536}],
  [{sshPort: 22.5}],
  [{taps: 5}],
  [{taps: [5]}],
  [{process: {pid: '7', startTime: '1', bootId: 'b'}}],
  [{process: {pid: 7}}],
  [{process: null}],
])('a record with %j is nothing', async (change) => {
  const directory = temporaryDirectory()
  writeFileSync(join(directory, 'qemu.json'), JSON.stringify({...runtime, ...change}))
  expect(await readRuntime(directory)).toBeUndefined()
})

test('a VM holds its address and its ports, also while nothing runs; a damaged record holds nothing', async () => {
  const directory = temporaryDirectory()
  expect(await holdingOf(directory)).toBeUndefined()
  await writeRuntime(directory, {...runtime, sshPort: 10_023, process: {pid: 2 ** 22 + 1, startTime: '1', bootId: 'b'}})
  expect(await holdingOf(directory)).toMatchObject({
    vm: runtime.name,
    macAddress: runtime.macAddress,
    ports: [{guest: 22, host: 10_023}],
    isAtRest: true,
  })
  writeFileSync(join(directory, 'qemu.json'), '{')
  expect(await holdingOf(directory)).toBeUndefined()
})

test('a TAP device has a name that fits, differs by VM and stays the same', () => {
  const names = Array.from({length: 100}, (_, index) =>
    tapName(makeVm({id: `123e4567-e89b-42d3-a456-4266141740${String(index).padStart(2, '0')}`})),
  )
  expect(new Set(names).size).toBe(100)
  for (const name of names) expect(name).toMatch(/^vmctl[0-9a-f]{10}$/)
  expect(tapName(makeVm())).toBe(tapName(makeVm()))
})

test.each(['', '.', '..', '../etc', 'a b', 'a/b', 'x'.repeat(16), 'a\n'])('%j is no bridge', async (bridge) => {
  await expect(checkBridge(bridge)).rejects.toMatchObject({
    code: 'vmctl::network::bridge_not_found',
    message: expect.stringContaining('cannot be the name'),
  })
})

test('what is not there, or is no bridge, is told', async () => {
  for (const bridge of ['nobridge0', 'lo'])
    await expect(checkBridge(bridge)).rejects.toMatchObject({
      code: 'vmctl::network::bridge_not_found',
      help: expect.stringContaining(`ip link add ${bridge} type bridge`),
    })
})
