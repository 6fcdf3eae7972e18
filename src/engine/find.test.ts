import {mkdirSync} from 'node:fs'
import {join} from 'node:path'

import {expect, test} from 'vitest'

import {makeSpec, makeVm, temporaryDirectory} from '../../test/support/builders.ts'
import {writeVm} from '../store/store.ts'
import {openEngine} from './engine.ts'
import {findVm, findVms} from './find.ts'

const web = [0, 1].map((replica) => makeSpec({name: `shop.web-${replica}`, project: 'shop', service: 'web', replica}))
const db = makeSpec({name: 'shop.db', project: 'shop', service: 'db'})
const plain = makeSpec({name: 'web'})

test('VMs that exist are found by their VMFile, which need not be there', async () => {
  const directory = temporaryDirectory()
  const engine = await openEngine({stateDirectory: join(directory, 'state'), backend: 'noop', env: {}})
  const here = join(directory, 'here')
  mkdirSync(here)
  const add = async (spec: typeof db, owner: string): Promise<void> => {
    const vmDirectory = join(engine.store.directory, 'vms', spec.name)
    mkdirSync(vmDirectory, {recursive: true})
    await writeVm(makeVm({name: spec.name, spec, vmfile: owner, directory: vmDirectory}))
  }
  for (const spec of [...web, db]) await add(spec, join(here, 'VMFile.kdl'))
  await add(makeSpec({name: 'other.db', project: 'other', service: 'db'}), '/elsewhere/VMFile.kdl')
  await add(makeSpec({name: 'other.cache', project: 'other', service: 'cache'}), '/elsewhere/VMFile.kdl')
  await add(plain, '/elsewhere/VMFile.kdl')
  const options = {directory: here}
  expect(await findVm(engine, 'db', options)).toBe('shop.db')
  expect(await findVm(engine, 'web-1', options)).toBe('shop.web-1')
  expect(await findVm(engine, 'other.db', options)).toBe('other.db')
  // The very name wins over what it means here.
  expect(await findVms(engine, ['web'], {...options, vmfile: undefined})).toEqual(['web'])
  expect(await findVms(engine, ['shop.web', 'web-1', 'web-0'], {...options, vmfile: undefined})).toEqual(['shop.web-0', 'shop.web-1'])
  expect(await findVm(engine, 'db', {directory, file: 'here/VMFile.kdl'})).toBe('shop.db')
  expect(await findVm({...engine, env: {VMCTL_FILE: join(here, 'VMFile.kdl')}}, 'db', {directory})).toBe('shop.db')
  expect(await findVm(engine, 'nothing', options)).toBe('nothing')
  expect(await findVm(engine, '../x', options)).toBe('../x')
  await expect(findVm(engine, 'shop.web', options)).rejects.toMatchObject({
    code: 'vmctl::usage::invalid',
    message: 'shop.web stands for 2 VMs: shop.web-0, shop.web-1.',
  })
  await expect(findVm(engine, 'cache', options)).rejects.toMatchObject({
    code: 'vmctl::vm::not_found',
    help: 'Did you mean "other.cache"? Run `vmctl list` to see the VMs that exist.',
  })
})

test('nothing that is named means all VMs of the VMFile', async () => {
  const engine = await openEngine({stateDirectory: temporaryDirectory(), backend: 'noop', env: {}})
  const vmfile = {path: '/project/VMFile.kdl', directory: '/project', networks: [], volumes: [], vms: [...web, db], warnings: []}
  expect(await findVms(engine, [], {vmfile, directory: '/project'})).toEqual(['shop.web-0', 'shop.web-1', 'shop.db'])
  await expect(findVms(engine, [], {vmfile: undefined, directory: '/project'})).rejects.toMatchObject({code: 'vmctl::usage::invalid'})
})
