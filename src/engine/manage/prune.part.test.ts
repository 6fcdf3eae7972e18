import {execFileSync} from 'node:child_process'
import {existsSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'

import {afterAll, afterEach, beforeAll, describe, expect, test} from 'vitest'

import {makeSpec} from '../../../test/support/builders.ts'
import {type ImageServer, startImageServer} from '../../../test/support/image-server.ts'
import {makeImage} from '../../../test/support/images.ts'
import {makeWorkspace, type Workspace} from '../../../test/support/run-command.ts'
import type {Vm} from '../../model/vm.ts'
import {lockCopies, lockVm, readVm, stageDirectory} from '../../store/store.ts'
import {type Engine, openEngine} from '../engine.ts'
import {create, destroy} from '../vm/lifecycle.ts'
import {removeCached, usedImages} from './images.ts'
import {prunable, prune} from './prune.ts'

let workspace: Workspace
let server: ImageServer
let engine: Engine

beforeAll(async () => {
  workspace = makeWorkspace()
  server = await startImageServer()
  const content = makeImage(workspace.directory, 'qcow2')
  for (const name of ['a', 'b', 'c', 'd']) server.files.set(`/${name}.qcow2`, {content: Buffer.concat([content, Buffer.from(name)])})
  engine = await openEngine({stateDirectory: workspace.stateDirectory, backend: 'noop', env: {HOME: workspace.directory}})
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
  workspace[Symbol.dispose]()
})

afterEach(() => {
  for (const name of ['vms', 'images']) {
    rmSync(join(workspace.stateDirectory, name), {recursive: true, force: true})
    mkdirSync(join(workspace.stateDirectory, name), {mode: 0o700})
  }
})

const make = async (name: string, image: string): Promise<Vm> => {
  await create(engine, makeSpec({name, image: {kind: 'url', source: `${server.origin}/${image}.qcow2`}}))
  const vm = await readVm(engine.store, name)
  if (!vm) throw new Error(name)
  return vm
}

const removed = async (): Promise<number> => (await prune(engine, {}, await prunable(engine, {}))).remove.length

describe('while VMs are made, images are removed: no VM loses its base', () => {
  test.each([
    ['image prune', () => removed()],
    ['image rm', () => removeCached(engine, 'a.qcow2').catch(() => undefined)],
  ])('%s', async (_what, remove) => {
    let isOver = false
    let removals = 0
    const removing = (async () => {
      for (; !isOver; removals++) {
        await remove()
        await sleep(Math.random() * 40)
      }
    })()
    try {
      for (let round = 0; round < 20; round++) {
        const names = ['one', 'two', 'three'].map((name) => `${name}-${round}`)
        const vms = await Promise.all(names.map((name, index) => make(name, 'abc'[(index * round) % 3] ?? 'a')))
        expect(vms.map(({base}) => existsSync(base.path))).toEqual([true, true, true])
        for (const name of names) await destroy(engine, name)
      }
    } finally {
      isOver = true
      await removing
    }
    expect(removals).toBeGreaterThan(20)
    // It was a race: images had to be fetched again and again.
    expect(server.requests.length).toBeGreaterThan(10)
  })
})

describe('what uses an image', () => {
  test('a VM, until it is destroyed, which is the last use then', async () => {
    const {base} = await make('web', 'a')
    const [entry = ''] = readdirSync(join(engine.images.directory, 'refs'))
    const past = new Date('2026-01-01T00:00:00Z')
    const grow = (): void => utimesSync(join(engine.images.directory, 'refs', entry), past, past)
    grow()
    expect(await usedImages(engine)).toMatchObject([{path: base.path, lastUsedAt: past.toISOString(), uses: [{kind: 'vm', name: 'web'}]}])
    expect(await removed()).toBe(0)
    await destroy(engine, 'web')
    expect((await prunable(engine, {olderThanMs: 60_000})).remove).toEqual([])
    grow()
    expect((await prunable(engine, {olderThanMs: 60_000})).remove).toMatchObject([{path: base.path}])
    expect(await removed()).toBe(1)
  })

  test('a VM whose record is damaged, by its disk; and when neither tells, nothing goes', async () => {
    const {base, directory} = await make('web', 'a')
    const overlay = join(directory, 'overlay.qcow2')
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', base.path, overlay])
    writeFileSync(join(directory, 'vm.json'), '{')
    expect(await removed()).toBe(0)
    expect((await usedImages(engine))[0]?.uses).toMatchObject([{name: 'web', allocatedBytes: expect.any(Number) as number}])
    writeFileSync(overlay, 'damaged')
    await expect(removed()).rejects.toMatchObject({code: 'vmctl::vm::record_damaged'})
    expect((await usedImages(engine))[0]?.uses).toEqual([])
    await destroy(engine, 'web')
    expect(await removed()).toBe(1)
  })

  test.each([
    ['made', 'new', lockVm],
    ['copied for a package', 'copy', lockCopies],
  ] as const)('a VM that is just being %s, and not one whose maker was killed', async (_what, kind, lock) => {
    const {base, directory} = await make('web', 'a')
    const record = readFileSync(join(directory, 'vm.json'))
    await destroy(engine, 'web')
    const staged = await stageDirectory(engine.store, 'web', kind)
    writeFileSync(join(staged, 'vm.json'), record)
    {
      await using _lock = await lock(engine.store, 'web', {purpose: 'up', timeoutMs: 0})
      expect(await removed()).toBe(0)
    }
    expect(existsSync(base.path)).toBe(true)
    expect(await removed()).toBe(1)
  })

  test('a volume that somebody has made on an image', async () => {
    const {base} = await make('web', 'a')
    await destroy(engine, 'web')
    const scope = join(workspace.stateDirectory, 'volumes', 'shop')
    mkdirSync(scope, {recursive: true})
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', base.path, join(scope, 'data.qcow2')])
    await expect(removeCached(engine, 'a.qcow2')).rejects.toMatchObject({
      code: 'vmctl::image::in_use',
      message: 'The image a.qcow2 is the base of the volume shop.data.',
    })
    expect(await removed()).toBe(0)
    rmSync(scope, {recursive: true})
    expect(await removed()).toBe(1)
  })
})
