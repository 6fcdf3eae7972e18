import {randomUUID} from 'node:crypto'
import {mkdtemp, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {describe, expect, onTestFinished, test} from 'vitest'

import {makeVm} from '../../../test/support/builders.ts'
import {startIncus} from '../../../test/support/incus-server.ts'
import {makeCredentials, trust} from '../../../test/support/incus-trust.ts'
import {key, makeWorld, type World} from '../../../test/support/incus-world.ts'
import {createDisk} from '../../host/qemu-img.ts'
import type {Vm} from '../../model/vm.ts'
import {testHypervisor} from '../contract/contract.ts'
import type {Hypervisor} from '../hypervisor.ts'
import {incusHypervisor} from './index.ts'
import {instanceName, label} from './instance.ts'

interface Lab {
  readonly world: World
  readonly hypervisor: Hypervisor
  makeVm(overrides?: Partial<Vm>): Promise<Vm>
  cleanup(): Promise<void>
}

const owner = 'this-one'

/** A server that is a fake, and speaks as a real one. */
const openLab = async (members: readonly string[] = []): Promise<Lab> => {
  const directory = await mkdtemp(join(tmpdir(), 'vmctl-incus-backend-'))
  const [credentials, shown] = [makeCredentials('client'), makeCredentials('server')]
  const world = makeWorld(members)
  world.hasVms = true
  trust(world, credentials)
  const server = await startIncus({world, credentials: shown, ...(members[0] !== undefined && {member: members[0]})})
  const path = join(directory, 'base.qcow2')
  await createDisk(path, 2 ** 20)
  return {
    world,
    hypervisor: incusHypervisor({
      find: async () => ({addresses: [{url: server.url}], fingerprint: server.fingerprint, credentials}),
      owner,
    }),
    makeVm: async (overrides) => {
      const vm = makeVm({
        id: randomUUID(),
        backend: 'incus',
        directory: await mkdtemp(join(directory, 'vm-')),
        base: {path, format: 'qcow2', virtualSizeBytes: 2 ** 20},
        phase: 'prepared',
        ...overrides,
      })
      return {...vm, spec: {...vm.spec, home: {name: 'lab'}}}
    },
    async cleanup() {
      await server[Symbol.asyncDispose]()
      await rm(directory, {recursive: true})
    },
  }
}

testHypervisor({
  create: async () => {
    const lab = await openLab()
    const instanceOf = (vm: Vm) => lab.world.instances.get(key('default', instanceName(vm)))
    return {
      ...lab,
      seen: async (vm) => Object.values(instanceOf(vm)?.config ?? {}).join('\n'),
      leftovers: async (vm) => (instanceOf(vm) ? ['an instance'] : []),
    }
  },
})

const signal = new AbortController().signal

const useLab = async (members: readonly string[] = []): Promise<Lab> => {
  const lab = await openLab(members)
  onTestFinished(() => lab.cleanup())
  return lab
}

describe('instances of a server', () => {
  test('an image is uploaded once, and the instance says whose it is', async () => {
    const {world, hypervisor, makeVm: make} = await useLab()
    const [one, two] = [await make(), await make()]
    await Promise.all([one, two].map((vm) => hypervisor.prepare(vm, {signal})))
    expect([...world.images.values()]).toMatchObject([{type: 'virtual-machine', aliases: [expect.stringMatching(/^vmctl-vm-/)]}])
    const instance = world.instances.get(key('default', instanceName(one)))
    expect(instance?.config).toMatchObject({
      [label.id]: one.id,
      [label.owner]: owner,
      'limits.memory': '1024MiB',
      'security.secureboot': 'false',
    })
    expect(instance?.devices).toMatchObject({root: {pool: 'default'}, eth0: {network: 'incusbr0', name: 'eth0'}})
  })

  test('what is not ours is never touched, though it has the name', async () => {
    const {world, hypervisor, makeVm: make} = await useLab()
    const vm = await make()
    await hypervisor.prepare(vm, {signal})
    const stranger = world.instances.get(key('default', instanceName(vm)))
    if (stranger) stranger.config = {'user.other': 'x'}
    expect(await hypervisor.observe(vm)).toMatchObject({state: 'prepared'})
    await hypervisor.stop(vm, {signal, timeoutMs: 0})
    await hypervisor.destroy(vm, {signal})
    expect(world.instances.get(key('default', instanceName(vm)))).toBe(stranger)
    await expect(hypervisor.start(vm, {signal})).rejects.toMatchObject({code: 'vmctl::incus::not_found'})
    await expect(hypervisor.prepare(vm, {signal})).rejects.toMatchObject({code: 'vmctl::incus::name_taken'})
  })

  test('what a killed command has made and not put on record goes with the next VM of that name', async () => {
    const {world, hypervisor, makeVm: make} = await useLab()
    const [left, started, next] = [await make(), await make(), await make()]
    await hypervisor.prepare(left, {signal})
    const kept = {...started, spec: {...started.spec, name: 'kept'}}
    await hypervisor.prepare(kept, {signal})
    await hypervisor.prepare(next, {signal})
    expect([...world.instances.values()].map(({name}) => name).toSorted()).toEqual([instanceName(kept), instanceName(next)].toSorted())
  })

  test('the seed keeps the identity of the guest, and a member that is gone is a failure, not a VM at rest', async () => {
    const {world, hypervisor, makeVm: make} = await useLab()
    const vm = await make()
    await hypervisor.prepare(vm, {signal})
    const instance = world.instances.get(key('default', instanceName(vm)))
    const id = 'volatile.cloud-init.instance-id'
    if (instance) instance.config = {...instance.config, [id]: 'first'}
    const seed = (userData: string) => hypervisor.seed?.(vm, {metaData: 'instance-id: x\n', userData}, {signal})
    await seed('#cloud-config\n{a: 1}\n')
    // As the server does when the seed has changed.
    if (instance) instance.config = {...instance.config, [id]: 'another'}
    await seed('#cloud-config\n{}\n')
    expect(instance?.config).toMatchObject({
      [id]: 'first',
      'user.meta-data': 'instance-id: x\n',
      'cloud-init.user-data': '#cloud-config\n{}\n',
    })
    if (instance) instance.status = 'Error'
    expect(await hypervisor.observe(vm)).toMatchObject({state: 'failed', crash: expect.stringMatching(/does not answer/)})
    await expect(hypervisor.seed?.(vm, {metaData: '', userData: Buffer.from([0xff, 0xfe])}, {signal})).rejects.toMatchObject({
      code: 'vmctl::backend::not_available',
    })
  })

  test('ports of a container are chosen apart from those of others, are kept, and follow the spec while it runs', async () => {
    const {hypervisor, makeVm: make} = await useLab()
    const portsOf = async (vm: Vm) => (await hypervisor.observe(vm)).ports?.map(({host, guest}) => [host, guest])
    const open = {protocol: 'tcp', bind: '0.0.0.0', guest: 80} as const
    const container = async (): Promise<Vm> => {
      const vm = await make()
      return {...vm, spec: {...vm.spec, kind: 'container', ports: [open]}, base: {...vm.base, isArchive: true, sha256: 'ab'.repeat(32)}}
    }
    const [one, two] = [await container(), await container()]
    for (const vm of [one, two]) {
      await hypervisor.prepare(vm, {signal})
      await hypervisor.start(vm, {signal})
    }
    const [mine, other] = [await portsOf(one), await portsOf(two)]
    expect(mine?.[0]?.[0]).not.toBe(other?.[0]?.[0])
    await hypervisor.adapt?.({...one, spec: {...one.spec, ports: [open, {...open, host: 8080, guest: 81}]}}, {signal})
    expect(await portsOf(one)).toEqual([...(mine ?? []), [8080, 81]])
    await hypervisor.adapt?.({...one, spec: {...one.spec, ports: []}}, {signal})
    expect(await portsOf(one)).toBeUndefined()
  })

  test.each([
    {members: [], isTunnelled: false},
    {members: ['n1', 'n2'], isTunnelled: true},
  ])('the network of a project is there for as long as a VM is on it: members $members', async ({members, isTunnelled}) => {
    const {world, hypervisor, makeVm: make} = await useLab(members)
    const onNetwork = async (mac: string): Promise<Vm> => {
      const nic = {network: 'shop.default', mac, ip: '10.10.0.2', prefix: 24, dhcp: false, link: {kind: 'socket', name: 'x'}} as const
      return {...(await make()), attachments: {nics: [nic], disks: [], folders: []}}
    }
    const [one, two] = [await onNetwork('52:54:00:00:00:01'), await onNetwork('52:54:00:00:00:02')]
    await Promise.all([one, two].map((vm) => hypervisor.prepare(vm, {signal})))
    const made = () => [...world.networks.keys()].filter((name) => name.startsWith('vm-'))
    const [name = ''] = made()
    expect(made()).toHaveLength(1)
    // A bridge of Linux, and the tunnel of one, have 15 characters for their names.
    expect(`${name}-v`.length).toBeLessThanOrEqual(15)
    expect(world.networks.get(name)).toMatchObject({config: {'ipv4.address': 'none', 'user.vmctl.network': 'shop.default'}})
    expect(JSON.stringify(world.networks.get(name)).includes('"tunnel.v.protocol":"vxlan"')).toBe(isTunnelled)
    expect(world.instances.get(key('default', instanceName(two)))?.devices).toMatchObject({
      mesh0: {network: name, hwaddr: '52:54:00:00:00:02'},
    })
    await hypervisor.destroy(one, {signal})
    expect(made()).toEqual([name])
    await hypervisor.destroy(two, {signal})
    expect(made()).toEqual([])
  })

  test('in a cluster the member is told, and by its address a port', async () => {
    const {world, hypervisor, makeVm: make} = await useLab(['n1', 'n2'])
    const member = world.members.get('n2')
    if (member) member.url = 'https://10.0.0.12:8443'
    const vm = await make()
    const spec = {
      ...vm.spec,
      kind: 'container',
      place: {member: 'n2'},
      ports: [{protocol: 'tcp', bind: '0.0.0.0', host: 8080, guest: 80}],
    } as const
    const container: Vm = {...vm, spec, base: {...vm.base, isArchive: true, sha256: 'ab'.repeat(32)}}
    await hypervisor.prepare(container, {signal})
    expect(await hypervisor.observe(container)).toMatchObject({member: 'n2', ports: [{bind: '10.0.0.12', host: 8080, guest: 80}]})
  })

  test('what the server does not have is said before anything is made', async () => {
    const {world, hypervisor, makeVm: make} = await useLab()
    const {spec} = await make()
    const refused = (change: Partial<Vm['spec']>) => hypervisor.check({...spec, ...change})
    await hypervisor.check(spec)
    await expect(refused({home: {name: 'lab', pool: 'none'}})).rejects.toMatchObject({
      code: 'vmctl::incus::not_found',
      message: 'The home lab has no storage pool none.',
    })
    await expect(refused({ports: [{protocol: 'tcp', bind: '0.0.0.0', guest: 80}]})).rejects.toThrow(
      'A home does not have published ports of VMs.',
    )
    world.hasVms = false
    await expect(refused({})).rejects.toMatchObject({code: 'vmctl::incus::no_vms'})
    await refused({kind: 'container'})
    expect(world.instances.size).toBe(0)
  })
})
