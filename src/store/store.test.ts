import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync} from 'node:fs'
import {join, resolve} from 'node:path'
import {setImmediate} from 'node:timers/promises'

import {expect, test} from 'vitest'

import {makeSpec, makeVm, temporaryDirectory} from '../../test/support/builders.ts'
import {needsRoot, testUnless} from '../../test/support/programs.ts'
import type {Vm} from '../model/vm.ts'
import {lockConsole} from './console-lock.ts'
import {
  adoptDirectory,
  listVmNames,
  lockVm,
  openStore,
  readVm,
  removeVm,
  requireVm,
  stageDirectory,
  type Store,
  sweepLeftovers,
  writeVm,
} from './store.ts'

const open = (): Promise<Store> => openStore(join(temporaryDirectory(), 'state'))

const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8)

/** A VM with its directory, as `create` leaves it. */
const addVm = async (store: Store, name = 'web', change: Partial<Vm> = {}): Promise<Vm> => {
  const staged = await stageDirectory(store, name)
  const vm = makeVm({spec: makeSpec({name}), ...change})
  await writeVm({...vm, directory: staged})
  return {...vm, directory: await adoptDirectory(store, staged, name)}
}

test('a new state directory is private, one that is open to readers is closed', async () => {
  const store = await open()
  expect([store.directory, store.vmsDirectory, store.lockDirectory].map(modeOf)).toEqual(['700', '700', '700'])
  chmodSync(store.directory, 0o755)
  await openStore(store.directory)
  expect(modeOf(store.directory)).toBe('700')
})

test('a state directory that cannot be made is an error that says how to name another', async () => {
  await expect(openStore('/proc/nope/vmctl')).rejects.toMatchObject({
    code: 'vmctl::io',
    message: expect.stringContaining('/proc/nope/vmctl'),
    help: expect.stringContaining('VMCTL_STATE_DIR'),
  })
})

test('a state directory that others may write to is refused', async () => {
  const store = await open()
  for (const mode of [0o777, 0o770, 0o707, 0o1777]) {
    chmodSync(store.directory, mode)
    await expect(openStore(store.directory)).rejects.toMatchObject({
      code: 'vmctl::host::insecure_directory',
      help: `Close it: \`chmod 700 ${store.directory}\`.`,
    })
  }
})

test('a directory that holds other things keeps its mode, and nothing is made in it', async () => {
  const directory = temporaryDirectory()
  writeFileSync(join(directory, 'passwd'), '')
  chmodSync(directory, 0o755)
  await expect(openStore(directory)).rejects.toMatchObject({
    code: 'vmctl::host::insecure_directory',
    message: expect.stringContaining('other things than VMs'),
  })
  expect([modeOf(directory), readdirSync(directory)]).toEqual(['755', ['passwd']])
})

testUnless(needsRoot())('a state directory that is not ours is refused', async () => {
  const store = await open()
  chownSync(store.directory, 65_534, 65_534)
  await expect(openStore(store.directory)).rejects.toMatchObject({
    code: 'vmctl::host::insecure_directory',
    message: expect.stringContaining('belongs to another user'),
  })
})

test('a state directory that cannot be made names its path', async () => {
  const file = join(temporaryDirectory(), 'file')
  writeFileSync(file, '')
  await expect(openStore(file)).rejects.toMatchObject({code: 'vmctl::io', message: expect.stringContaining(file)})
  await expect(openStore(join(file, 'below'))).rejects.toMatchObject({code: 'vmctl::io'})
})

test('a record comes back as it was written, and is private', async () => {
  const store = await open()
  const vm = await addVm(store, 'web', {failure: {operation: 'start', message: 'Ä "quote"\n', at: 'now'}})
  expect(await readVm(store, 'web')).toEqual(vm)
  expect(vm.directory).toBe(join(store.vmsDirectory, 'web'))
  expect(modeOf(join(vm.directory, 'vm.json'))).toBe('600')
  expect(modeOf(vm.directory)).toBe('700')
  // The directory is where the record was found, not what somebody once wrote into it.
  expect(readFileSync(join(vm.directory, 'vm.json'), 'utf8')).not.toContain(store.directory)
})

test('a VM that does not exist is undefined, or an error that knows what was meant', async () => {
  const store = await open()
  await addVm(store, 'web')
  expect(await readVm(store, 'db')).toBeUndefined()
  await expect(requireVm(store, 'wbe')).rejects.toMatchObject({
    code: 'vmctl::vm::not_found',
    message: 'There is no VM named "wbe".',
    help: 'Did you mean "web"? Run `vmctl list` to see the VMs that exist.',
  })
  await expect(requireVm(store, 'else')).rejects.toMatchObject({help: 'Run `vmctl list` to see the VMs that exist.'})
  for (const name of ['../web', '/etc', '.', '..', '', 'a/b', '.new-web-000000000000', 'web\0']) {
    await expect(requireVm(store, name), name).rejects.toMatchObject({code: 'vmctl::vm::not_found'})
    await expect(readVm(store, name), name).rejects.toMatchObject({code: 'vmctl::vm::not_found'})
    await expect(removeVm(store, name), name).rejects.toMatchObject({code: 'vmctl::vm::not_found'})
    expect(() => lockVm(store, name, {purpose: 'x', timeoutMs: 0})).toThrow('cannot be the name of a VM')
    expect(() => lockConsole(store, name, new AbortController().signal)).toThrow('cannot be the name of a VM')
  }
})

test('the list holds directories with the name of a VM, damaged ones too, and nothing else', async () => {
  const store = await open()
  await addVm(store, 'web')
  await addVm(store, 'Db.1')
  mkdirSync(join(store.vmsDirectory, 'damaged'))
  writeFileSync(join(store.vmsDirectory, 'a-file'), '')
  symlinkSync('/etc', join(store.vmsDirectory, 'a-link'))
  await stageDirectory(store, 'half')
  expect(await listVmNames(store)).toEqual(['Db.1', 'damaged', 'web'])
})

test('a VM of the vmctl that was written in Rust is called so, and is no damaged record', async () => {
  const store = await open()
  for (const name of ['old', 'other']) mkdirSync(join(store.vmsDirectory, name))
  const path = join(store.vmsDirectory, '..', 'vms.json')
  for (const text of ['', 'null', '[1]', '{"web": 1}']) {
    writeFileSync(path, text)
    await expect(readVm(store, 'old')).rejects.toMatchObject({code: 'vmctl::vm::record_damaged'})
  }
  writeFileSync(path, '{"old": {"id": "1", "name": "old"}}')
  await expect(readVm(store, 'old')).rejects.toMatchObject({
    code: 'vmctl::vm::of_older_vmctl',
    message: expect.stringContaining('vms.json'),
  })
  await expect(readVm(store, 'other')).rejects.toMatchObject({code: 'vmctl::vm::record_damaged'})
})

test('every truncation of a record is told as damage with its path, never taken for a VM or for none', async () => {
  const store = await open()
  const vm = await addVm(store)
  const path = join(vm.directory, 'vm.json')
  const whole = readFileSync(path)
  for (let length = 0; length < whole.length - 2; length++) {
    writeFileSync(path, whole.subarray(0, length))
    await expect(readVm(store, 'web'), `${length} bytes`).rejects.toMatchObject({
      code: 'vmctl::vm::record_damaged',
      message: `The record of the VM web cannot be read: ${path}.`,
    })
  }
  writeFileSync(path, whole.subarray(0, -1))
  expect(await readVm(store, 'web')).toEqual(vm)
})

test.each([
  ['another schema', {schema: 2}],
  ['another name', {name: 'db'}],
  ['no id', {id: undefined}],
  ['an id that is not a UUID', {id: '1,x=y'}],
  ['an unknown phase', {phase: 'flying'}],
  ['no spec', {spec: null}],
  ['a spec without network', {spec: {...makeSpec(), network: undefined}}],
  ['a spec without steps', {spec: {...makeSpec(), provision: {}}}],
  ['a spec with text for numbers', {spec: {...makeSpec(), vcpus: '1'}}],
  ['no base', {base: undefined}],
])('a record with %s is damaged', async (_, change) => {
  const store = await open()
  const vm = await addVm(store)
  writeFileSync(join(vm.directory, 'vm.json'), JSON.stringify({...vm, ...change}))
  await expect(readVm(store, 'web')).rejects.toMatchObject({code: 'vmctl::vm::record_damaged'})
})

test.each(['', 'null', '[]', '1', '"x"', '\0\0\0\0', '{"schema":1}', '<html>'])('a record that holds %j is damaged', async (text) => {
  const store = await open()
  const vm = await addVm(store)
  writeFileSync(join(vm.directory, 'vm.json'), text)
  await expect(readVm(store, 'web')).rejects.toMatchObject({code: 'vmctl::vm::record_damaged'})
})

test('a directory without a record is damage, not absence', async () => {
  const store = await open()
  const vm = await addVm(store)
  rmSync(join(vm.directory, 'vm.json'))
  await expect(readVm(store, 'web')).rejects.toMatchObject({
    code: 'vmctl::vm::record_damaged',
    message: expect.stringContaining('has no record'),
  })
  await removeVm(store, 'web')
  expect(await readVm(store, 'web')).toBeUndefined()
})

test('adopting replaces the old VM as a whole', async () => {
  const store = await open()
  const old = await addVm(store)
  writeFileSync(join(old.directory, 'overlay.qcow2'), 'old disk')
  const staged = await stageDirectory(store, 'web')
  expect(modeOf(staged)).toBe('700')
  await writeVm({...old, id: '00000000-0000-4000-8000-000000000000', directory: staged})
  await adoptDirectory(store, staged, 'web')
  expect(readdirSync(join(store.vmsDirectory, 'web'))).toEqual(['vm.json'])
  expect((await readVm(store, 'web'))?.id).toBe('00000000-0000-4000-8000-000000000000')
  expect(readdirSync(store.vmsDirectory)).toEqual(['web'])
})

test('removing leaves nothing, and may be done twice', async () => {
  const store = await open()
  const vm = await addVm(store)
  mkdirSync(join(vm.directory, 'deep/er'), {recursive: true})
  await removeVm(store, 'web')
  await removeVm(store, 'web')
  expect(readdirSync(store.vmsDirectory)).toEqual([])
})

test('left-overs of one VM are swept, those of others and of similar names stay', async () => {
  const store = await open()
  const hash = 'a1b2c3d4e5f6'
  const names = [
    `.new-a.b-${hash}`,
    `.gone-a.b-${hash}`,
    `.new-axb-${hash}`,
    `.gone-a.b-c-${hash}`,
    `.new-a.b-${hash}x`,
    `.old-a.b-${hash}`,
    'a.b',
    'web',
  ]
  for (const name of names) mkdirSync(join(store.vmsDirectory, name, 'below'), {recursive: true})
  await sweepLeftovers(store, 'a.b')
  expect(readdirSync(store.vmsDirectory).toSorted()).toEqual(names.slice(2).toSorted())
})

test('a VM whose name holds the marks of a left-over is not mistaken for one', async () => {
  const store = await open()
  await addVm(store, 'web-a1b2c3d4e5f6')
  await sweepLeftovers(store, 'web')
  expect(await listVmNames(store)).toEqual(['web-a1b2c3d4e5f6'])
})

test('readers see whole records while processes write', async () => {
  const store = await open()
  const vm = await addVm(store)
  const program = resolve(import.meta.dirname, '../../test/support/write-record.ts')
  const writers = ['a', 'b'].map((mark) =>
    spawn(process.execPath, [program, vm.directory, '25', mark], {stdio: ['ignore', 'ignore', 'inherit']}),
  )
  const ended = Promise.all(writers.map((writer) => once(writer, 'exit')))
  let over = false
  void ended.then(() => {
    over = true
  })
  const seen = new Set<string>()
  while (!over) {
    seen.add((await readVm(store, 'web'))?.createdAt.slice(0, 1) ?? 'none')
    await setImmediate()
  }
  expect((await ended).map(([code]) => code)).toEqual([0, 0])
  expect([...seen].every((mark) => ['a', 'b', '2'].includes(mark))).toBe(true)
  expect((await readVm(store, 'web'))?.createdAt).toMatch(/^[ab] 24 x{50000}$/)
  expect(readdirSync(vm.directory)).toEqual(['vm.json'])
})

test('one lock per VM, one more for its console', async () => {
  const store = await open()
  const options = {purpose: 'test', timeoutMs: 0}
  await using _web = await lockVm(store, 'web', options)
  await using _db = await lockVm(store, 'db', options)
  await expect(lockVm(store, 'web', options)).rejects.toMatchObject({code: 'vmctl::vm::locked'})
  const {signal} = new AbortController()
  await using _console = await lockConsole(store, 'web', signal)
  await expect(lockConsole(store, 'web', signal)).rejects.toMatchObject({
    code: 'vmctl::vm::locked',
    message: expect.stringContaining('vmctl console web'),
  })
})
