import {mkdirSync} from 'node:fs'
import {join} from 'node:path'

import {afterEach, expect, test} from 'vitest'

import {temporaryDirectory} from '../../../test/support/builders.ts'
import {examineStacks} from './doctor-stacks.ts'

const {PATH} = process.env
afterEach(() => {
  process.env.PATH = PATH
})

const names = ['net-admin', 'dnsmasq', 'nftables', 'systemd', 'iommu']

test('what a host lacks that only some stacks need is a warning with its use and a remedy, never a failure', async () => {
  const empty = temporaryDirectory()
  process.env.PATH = empty
  const checks = await examineStacks({iommuGroups: join(empty, 'none'), systemd: join(empty, 'none')})
  expect(checks.map(({name}) => name)).toEqual(names)
  for (const {name, status, detail, help} of checks) {
    expect(['ok', 'warn'], name).toContain(status)
    if (status === 'warn') expect(`${detail} ${help}`, name).toMatch(/Needed for .* \S/)
  }
  expect(checks.filter(({name}) => ['dnsmasq', 'nftables', 'systemd', 'iommu'].includes(name)).map(({status}) => status)).toEqual([
    'warn',
    'warn',
    'warn',
    'warn',
  ])
})

test('what is there is found', async () => {
  const host = temporaryDirectory()
  mkdirSync(join(host, 'groups/0'), {recursive: true})
  const checks = await examineStacks({iommuGroups: join(host, 'groups'), systemd: host})
  expect(checks.filter(({name}) => name === 'systemd' || name === 'iommu')).toEqual([
    {name: 'systemd', status: 'ok', detail: 'it runs this host'},
    {name: 'iommu', status: 'ok', detail: '1 groups'},
  ])
})
