import {mkdirSync, readdirSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {expect, test} from 'vitest'

import {temporaryDirectory} from '../../test/support/builders.ts'
import {listNetworkIds, networkStore, sweepNetworks, writeNetwork} from './record.ts'

const {signal} = new AbortController()
const halfWritten = (name: string): string => `.${name}.4711.0123456789ab.tmp`

test('what a killed process has left of a network that is not on record is removed, the others and the memory of subnets stay', async () => {
  const store = networkStore(temporaryDirectory())
  const spec = {id: 'shop.back', name: 'back', driver: 'mesh' as const, dhcp: false, dns: false, nat: false}
  await writeNetwork(store, {schema: 1, spec, members: {}})
  mkdirSync(join(store.directory, 'shop.front'))
  for (const name of ['subnets.json', halfWritten('subnets.json'), join('shop.front', halfWritten('network.json'))]) {
    writeFileSync(join(store.directory, name), '{}')
  }
  await sweepNetworks(store, signal)
  expect(readdirSync(store.directory).toSorted()).toEqual(['shop.back', 'subnets.json'])
  expect(await listNetworkIds(store)).toEqual(['shop.back'])
})

test('where there is nothing to remove, nothing is made', async () => {
  const store = networkStore(join(temporaryDirectory(), 'none'))
  await sweepNetworks(store, signal)
  await expect(listNetworkIds(store)).resolves.toEqual([])
  expect(() => readdirSync(store.lockDirectory)).toThrow('ENOENT')
})
