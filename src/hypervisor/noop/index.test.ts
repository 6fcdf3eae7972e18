import {randomUUID} from 'node:crypto'
import {mkdtemp, readFile, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {expect, test} from 'vitest'

import {makeSpec, makeVm, temporaryDirectory} from '../../../test/support/builders.ts'
import {fakeServer} from '../../../test/support/sshd.ts'
import {createDisk} from '../../host/qemu-img.ts'
import {testHypervisor} from '../contract/contract.ts'
import {noopHypervisor} from './index.ts'

testHypervisor({
  create: async () => {
    const directory = await mkdtemp(join(tmpdir(), 'vmctl-noop-'))
    const path = join(directory, 'base.qcow2')
    await createDisk(path, 2 ** 20)
    const base = {path, format: 'qcow2', virtualSizeBytes: 2 ** 20} as const
    return {
      hypervisor: noopHypervisor(),
      makeVm: async (overrides) =>
        makeVm({id: randomUUID(), directory: await mkdtemp(join(directory, 'vm-')), base, phase: 'prepared', ...overrides}),
      seen: (vm) => readFile(join(vm.directory, 'seed.iso'), 'latin1'),
      cleanup: () => rm(directory, {recursive: true}),
    }
  },
})

test('an SSH server may stand in for the guest', async () => {
  await using server = await fakeServer((socket) => socket.end('hello'))
  const hypervisor = noopHypervisor({guest: {host: '127.0.0.1', port: server.port}})
  const vm = makeVm({directory: temporaryDirectory()})
  const {signal} = new AbortController()
  expect(await hypervisor.observe(vm)).toEqual({state: 'stopped', sshPort: server.port})
  expect(await hypervisor.sshAddress(vm, {signal})).toEqual({host: '127.0.0.1', port: server.port})
  const stream = await hypervisor.dial(vm, 22, {signal})
  expect((await Array.fromAsync(stream)).join('')).toBe('hello')
})

test('without one nobody waits for it', async () => {
  const {signal} = new AbortController()
  await expect(noopHypervisor().dial(makeVm(), 22, {signal})).rejects.toMatchObject({
    code: 'vmctl::backend::not_available',
    facts: {retry: 'never'},
  })
})

test('what exists on illumos only is refused', async () => {
  await expect(noopHypervisor().check(makeSpec({network: {type: 'vnic', name: 'v0'}}))).rejects.toMatchObject({
    code: 'vmctl::backend::not_available',
  })
})
