import {execFileSync} from 'node:child_process'
import {existsSync, mkdirSync, rmSync, writeFileSync} from 'node:fs'
import {dirname, join} from 'node:path'

import {expect, test} from 'vitest'

import {makeSpec, temporaryDirectory} from '../../../test/support/builders.ts'
import {isVmctlError} from '../../model/errors.ts'
import type {VmSpec} from '../../model/vm.ts'
import {openEngine, type Engine} from '../engine.ts'
import {lockVolumes, findVolume, removeUnusedVolume, volumes} from './volumes.ts'
import {create, stop, start, destroy} from '../vm/lifecycle.ts'

const makeEngine = async (): Promise<{engine: Engine; spec: (name: string, readOnly?: boolean, volume?: string) => VmSpec}> => {
  const directory = temporaryDirectory()
  const image = join(directory, 'base.qcow2')
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', image, '16M'])
  const engine = await openEngine({stateDirectory: join(directory, 'state'), backend: 'noop', env: {}})
  const spec = (name: string, readOnly = false, volume = 'data'): VmSpec =>
    makeSpec({
      name,
      image: {kind: 'file', source: image},
      volumes: [
        {
          volume: {id: `shop.${volume}`, name: volume, sizeBytes: 2 ** 20, filesystem: 'ext4'},
          target: '/srv',
          readOnly,
          options: [],
        },
      ],
    })
  return {engine, spec}
}

const refusal = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'done',
    (error: unknown) => (isVmctlError(error) ? `${error.code}: ${error.message}` : String(error)),
  )

test('a volume that a running VM may write to is for no other VM, until that one stops', async () => {
  const {engine, spec} = await makeEngine()
  await create(engine, spec('a'), {start: true})
  const taken = 'vmctl::volume::in_use: The volume data is in use by the VM a, which runs.'
  expect(await refusal(create(engine, spec('b'), {start: true}))).toBe(taken)
  expect(await refusal(create(engine, spec('c', true), {start: true}))).toBe(taken)
  await stop(engine, 'a', {timeoutMs: 0})
  await create(engine, spec('b'), {start: true})
  expect(await refusal(start(engine, 'a'))).toBe(taken.replace('VM a', 'VM b'))
})

test('any number of VMs may read a volume at once, and none may write meanwhile', async () => {
  const {engine, spec} = await makeEngine()
  await create(engine, spec('a', true), {start: true})
  await create(engine, spec('b', true), {start: true})
  expect(await refusal(create(engine, spec('c'), {start: true}))).toMatch(/in use by the VM [ab], which runs/)
})

test('a volume has the VMs that exist for users, and outlives them', async () => {
  const {engine, spec} = await makeEngine()
  await create(engine, spec('a'))
  await create(engine, spec('b', true, 'other'))
  expect((await volumes(engine)).map(({id, users}) => [id, users])).toEqual([
    ['shop.data', [{vm: 'a', readOnly: false, target: '/srv'}]],
    ['shop.other', [{vm: 'b', readOnly: true, target: '/srv'}]],
  ])
  expect(await refusal(removeUnusedVolume(engine, 'data'))).toBe('vmctl::volume::in_use: The volume shop.data belongs to a.')
  const {path} = await findVolume(engine, 'shop.data')
  await destroy(engine, 'a')
  expect(existsSync(path)).toBe(true)
  expect((await removeUnusedVolume(engine, 'data')).id).toBe('shop.data')
  expect(existsSync(path)).toBe(false)
  expect(await refusal(findVolume(engine, 'data'))).toBe('vmctl::volume::not_found: There is no volume named "data".')
  expect((await findVolume(engine, 'other')).id).toBe('shop.other')
})

test('down --volumes takes what its VMs have, and nothing that others use too', async () => {
  const {engine, spec} = await makeEngine()
  const [a, b] = [spec('a'), spec('b', false, 'other')]
  await create(engine, a)
  await create(engine, b)
  const remove = await lockVolumes(engine, [a])
  expect(await remove()).toEqual(['shop.data'])
  expect((await volumes(engine)).map(({id}) => id)).toEqual(['shop.other'])
  expect(await refusal(lockVolumes(engine, [spec('c', false, 'other')]))).toContain(
    'vmctl::volume::in_use: The volume shop.other belongs to b too',
  )
  await destroy(engine, 'a')
  expect(await (await lockVolumes(engine, [spec('c')]))()).toEqual([])
})

test('what a killed down --volumes has left, a record or a directory, goes with the next', async () => {
  const {engine, spec} = await makeEngine()
  await create(engine, spec('a'))
  const {path} = await findVolume(engine, 'shop.data')
  rmSync(path)
  expect(await (await lockVolumes(engine, [spec('a')]))()).toEqual([])
  expect(existsSync(dirname(path))).toBe(false)
  mkdirSync(dirname(path))
  expect(await (await lockVolumes(engine, [spec('a')]))()).toEqual([])
  expect(existsSync(dirname(path))).toBe(false)
})

test('while the record of a VM is damaged nobody knows what it uses, so nothing is removed', async () => {
  const {engine, spec} = await makeEngine()
  await create(engine, spec('a'))
  writeFileSync(join(engine.store.vmsDirectory, 'a/vm.json'), '{')
  const {path} = await findVolume(engine, 'shop.data')
  expect(await refusal(removeUnusedVolume(engine, 'data'))).toMatch(/^vmctl::vm::record_damaged/)
  expect(await refusal(lockVolumes(engine, [spec('b')]))).toMatch(/^vmctl::vm::record_damaged/)
  expect(existsSync(path)).toBe(true)
})
