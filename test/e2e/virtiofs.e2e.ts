import {randomUUID} from 'node:crypto'
import {mkdirSync, readdirSync, readFileSync} from 'node:fs'
import {join, resolve} from 'node:path'

import {afterEach, beforeEach, expect, inject, test} from 'vitest'

import {listProcesses, processArguments} from '../../src/host/proc.ts'
import {qemuHypervisor} from '../../src/hypervisor/qemu/index.ts'
import type {SharedFolder, Vm} from '../../src/model/vm.ts'
import {makeSpec, makeVm, temporaryDirectory} from '../support/builders.ts'
import {describeUnless} from '../support/programs.ts'
import {eventually} from '../support/vm-guests.ts'
import {makeDisk} from '../support/vmctl-process.ts'

// Real QEMU on an empty disk, and a virtiofsd that serves nothing: Debian 12 has no real one. What a guest sees is not tested here.
const cannotRun = inject('cannotRun') || undefined
const bin = resolve(import.meta.dirname, '../../fixtures/bin')
const {PATH} = process.env

const {signal} = new AbortController()

describeUnless(cannotRun)('shares by virtiofs', () => {
  let vm: Vm
  let said: string[]
  let hypervisor: ReturnType<typeof qemuHypervisor>
  const options = {signal, notify: (message: string) => said.push(message), timeoutMs: 0}

  /** Processes with the VM's UUID, by program. */
  const processes = async (): Promise<Record<string, number[]>> => {
    const found: Record<string, number[]> = {qemu: [], virtiofsd: []}
    for (const pid of await listProcesses()) {
      const args = await processArguments(pid)
      if (!args.some((argument) => argument.includes(vm.id))) continue
      found[args.some((argument) => argument.endsWith('/virtiofsd')) ? 'virtiofsd' : 'qemu']?.push(pid)
    }
    return found
  }
  const folders = (...drivers: SharedFolder['driver'][]): Vm => {
    const path = join(vm.directory, '../../with, "all" of ü')
    mkdirSync(path, {recursive: true})
    const shared = drivers.map((driver, index) => ({path, tag: `share-${index}`, readOnly: index === 1, driver}))
    return {...vm, attachments: {nics: [], disks: [], folders: shared}}
  }
  const log = (): string => readFileSync(join(vm.directory, 'virtiofsd.log'), 'utf8')

  beforeEach(async () => {
    process.env.PATH = `${bin}:${PATH}`
    said = []
    const state = temporaryDirectory()
    const image = makeDisk(join(state, 'empty.qcow2'), '16M')
    mkdirSync(join(state, 'vms/web'), {recursive: true})
    vm = makeVm({
      id: randomUUID(),
      backend: 'qemu',
      directory: join(state, 'vms/web'),
      spec: makeSpec({memoryMiB: 64, image: {kind: 'file', source: image}}),
      base: {path: image, format: 'qcow2', virtualSizeBytes: 16 * 2 ** 20},
    })
    hypervisor = qemuHypervisor({stateDirectory: state, accelerators: ['tcg']})
    await hypervisor.prepare(vm, options)
  })
  afterEach(async () => {
    delete process.env.QEMU_FAKE_VIRTIOFSD
    process.env.PATH = PATH
    await hypervisor.destroy(vm, options)
    expect(await processes()).toEqual({qemu: [], virtiofsd: []})
  })

  test('each folder has a program that serves it, which ends with the VM and leaves nothing', async () => {
    const running = folders('auto', 'virtiofs', '9p')
    await hypervisor.start(running, options)
    const {qemu, virtiofsd} = await processes()
    expect([qemu?.length, virtiofsd?.length]).toEqual([1, 2])
    const [first, second] = log()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as string[])
    expect(first).toContain(`--shared-dir=${running.attachments?.folders[0]?.path}`)
    expect([first?.includes('--readonly'), second?.includes('--readonly')]).toEqual([false, true])
    const args = await processArguments(qemu?.[0] ?? 0)
    expect(args.filter((argument) => /^(?:vhost-user-fs|virtio-9p)-pci,/.test(argument))).toHaveLength(3)
    await hypervisor.stop(running, options)
    expect(await processes()).toEqual({qemu: [], virtiofsd: []})
    expect(readdirSync(vm.directory).filter((name) => name.endsWith('.sock'))).toEqual([])
    expect(said).toEqual([])
  })

  test('a QEMU that is killed takes them with it, and the VM starts again', async () => {
    const running = folders('auto')
    await hypervisor.start(running, options)
    const before = await processes()
    process.kill(before.qemu?.[0] ?? 0, 'SIGKILL')
    await eventually(async () => expect(await processes()).toEqual({qemu: [], virtiofsd: []}))
    await hypervisor.start(running, options)
    const after = await processes()
    expect(after.virtiofsd).toHaveLength(1)
    expect(after.virtiofsd).not.toEqual(before.virtiofsd)
    await hypervisor.stop(running, options)
  })

  test('one that dies alone is told, and the VM lives on', async () => {
    const running = folders('auto', '9p')
    await hypervisor.start(running, options)
    expect((await hypervisor.observe(running)).problems).toBeUndefined()
    const {virtiofsd} = await processes()
    process.kill(virtiofsd?.[0] ?? 0, 'SIGKILL')
    await eventually(async () =>
      expect(await hypervisor.observe(running)).toMatchObject({
        state: 'running',
        problems: [expect.stringMatching(/virtiofsd for .*with, "all" of ü is gone.*`vmctl restart/)],
      }),
    )
    await hypervisor.stop(running, options)
  })

  test('one that is left over, because vmctl was killed before QEMU started, is ended by the next start', async () => {
    const running = folders('auto')
    const {serveFolders} = await import('../../src/hypervisor/qemu/virtiofsd.ts')
    await serveFolders(running, options)
    const [orphan] = (await processes()).virtiofsd ?? []
    expect(orphan).toBeGreaterThan(1)
    await hypervisor.start(running, options)
    expect((await processes()).virtiofsd).not.toContain(orphan)
    expect((await processes()).virtiofsd).toHaveLength(1)
    await hypervisor.stop(running, options)
  })

  test('a start that fails ends them', async () => {
    const running = folders('auto')
    const broken = {...running, spec: {...running.spec, qemu: {args: ['-device', 'no-such-device']}}}
    await expect(hypervisor.start(broken, options)).rejects.toMatchObject({code: 'vmctl::qemu::spawn_failed'})
    expect(await processes()).toEqual({qemu: [], virtiofsd: []})
  })

  test('without a virtiofsd that works, 9p takes over, and the one that was asked for by name is an error', async () => {
    process.env.QEMU_FAKE_VIRTIOFSD = 'broken'
    await hypervisor.start(folders('auto'), options)
    expect(said.join()).toMatch(/^virtiofsd does not work here, shares use 9p: .*Error creating sandbox: no user namespace$/)
    const [pid = 0] = (await processes()).qemu ?? []
    expect((await processArguments(pid)).some((argument) => argument.startsWith('virtio-9p-pci,'))).toBe(true)
    await hypervisor.stop(folders('auto'), options)
    await expect(hypervisor.start(folders('virtiofs'), options)).rejects.toMatchObject({code: 'vmctl::share::virtiofs_unavailable'})
    process.env.QEMU_FAKE_VIRTIOFSD = 'old'
    const spec = {...vm.spec, shares: [{driver: 'virtiofs'}]} as unknown as Vm['spec']
    await expect(hypervisor.check(spec)).rejects.toMatchObject({
      code: 'vmctl::share::virtiofs_unavailable',
      message: expect.stringContaining('is too old, it has no --translate-uid'),
    })
  })
})
