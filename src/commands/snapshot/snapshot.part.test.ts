import {execFileSync} from 'node:child_process'
import {existsSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {afterAll, beforeAll, beforeEach, expect, test} from 'vitest'

import {makeWorkspace, runCommand, type Workspace} from '../../../test/support/run-command.ts'

let workspace: Workspace
beforeAll(() => {
  workspace = makeWorkspace()
})
afterAll(() => workspace[Symbol.dispose]())
beforeEach(() => {
  for (const name of ['vms', 'snapshots', 'volumes']) rmSync(join(workspace.stateDirectory, name), {recursive: true, force: true})
})

const directoryOf = (name: string): string => join(workspace.stateDirectory, 'vms', name)
const diskOf = (name: string): string => join(directoryOf(name), 'overlay.qcow2')

/** Makes a VM of the noop backend, and the disk that a real one would have. */
const create = async (name: string): Promise<void> => {
  expect((await runCommand('create', '--name', name, '--image', workspace.image)).exitCode).toBe(0)
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', workspace.image, diskOf(name), '16M'])
}

const io = (name: string, ...commands: readonly string[]): string =>
  execFileSync('qemu-io', ['-f', 'qcow2', ...commands.flatMap((command) => ['-c', command]), diskOf(name)], {encoding: 'utf8'})
const write = (name: string, pattern: number): void => void io(name, `write -P ${pattern} 1M 64k`)
const expectContent = (name: string, pattern: number): void =>
  expect(io(name, `read -P ${pattern} 1M 64k`)).not.toContain('Pattern verification failed')

const ok = async (...words: readonly string[]) => {
  const ran = await runCommand('snapshot', ...words)
  expect(ran, words.join(' ')).toMatchObject({exitCode: 0})
  return ran
}
const refused = async (code: string, ...words: readonly string[]) => {
  const ran = await runCommand(...words, '--json')
  expect(ran.json.error.code, words.join(' ')).toBe(code)
  return ran.json.error
}
const layers = (name: string): readonly string[] => readdirSync(directoryOf(name)).filter((file) => file.includes('@'))

test('a disk is as it was, again and again, and what was written since is lost', async () => {
  await create('web')
  write('web', 1)
  expect((await ok('create', 'one', 'web')).stdout).toMatch(/^one: kept of web \(disks only, [\d.]+ [KM]B\)\n$/)
  write('web', 2)
  await ok('create', 'two', 'web')
  write('web', 3)
  expect((await ok('restore', 'one', 'web')).stdout).toBe('web: put back to one; `vmctl start web` boots it\n')
  expectContent('web', 1)
  await ok('restore', 'two', 'web')
  expectContent('web', 2)
  write('web', 4)
  await ok('restore', 'two', 'web')
  expectContent('web', 2)
})

test('removing merges what is in between and keeps every other moment', async () => {
  await create('web')
  for (const pattern of [1, 2, 3]) {
    write('web', pattern)
    await ok('create', `s${pattern}`, 'web')
  }
  write('web', 4)
  expect(layers('web')).toHaveLength(3)
  expect((await ok('rm', 's2', 'web')).stdout).toBe('s2: removed of web\n')
  expect(layers('web')).toHaveLength(2)
  expectContent('web', 4)
  await ok('restore', 's3', 'web')
  expectContent('web', 3)
  await ok('restore', 's1', 'web')
  expectContent('web', 1)
  await ok('rm', 's3', 'web')
  await ok('rm', 's1', 'web')
  expect(layers('web')).toEqual([])
  expectContent('web', 1)
  expect(existsSync(join(workspace.stateDirectory, 'snapshots')) && readdirSync(join(workspace.stateDirectory, 'snapshots'))).toEqual([])
})

test('a layer on which two branches stand stays until one of them is gone', async () => {
  await create('web')
  write('web', 1)
  await ok('create', 'root', 'web')
  write('web', 2)
  await ok('create', 'left', 'web')
  await ok('restore', 'root', 'web')
  write('web', 3)
  const removed = (await ok('rm', 'root', 'web', '--json')).json
  expect(removed).toEqual({name: 'root', vms: ['web'], waiting: ['web']})
  expectContent('web', 3)
  await ok('rm', 'left', 'web')
  expect(layers('web')).toEqual([])
  expectContent('web', 3)
})

test('records come back with the disk, and a guest goes on if it ran', async () => {
  await create('web')
  await runCommand('start', 'web')
  const [hosts, journal] = [join(directoryOf('web'), 'known_hosts'), join(directoryOf('web'), 'journal.json')]
  writeFileSync(hosts, 'then')
  await ok('create', 'ran', 'web')
  await runCommand('stop', 'web')
  writeFileSync(hosts, 'now')
  writeFileSync(journal, '{}')
  await ok('restore', 'ran', 'web')
  expect(readFileSync(hosts, 'utf8')).toBe('then')
  expect(existsSync(journal)).toBe(false)
  expect((await runCommand('list', '--json')).json.vms).toMatchObject([{name: 'web', state: 'running'}])
  await ok('restore', 'ran', 'web', '--disk-only')
  expect((await runCommand('list', '--json')).json.vms).toMatchObject([{name: 'web', state: 'stopped'}])
})

test('several VMs are one snapshot; a part of it can be put back', async () => {
  for (const name of ['web', 'db']) {
    await create(name)
    write(name, 1)
  }
  await ok('create', 'both', 'web', 'db')
  for (const name of ['web', 'db']) write(name, 2)
  expect((await ok('ls', '--json')).json.snapshots).toMatchObject([
    {name: 'both', vms: [{name: 'web'}, {name: 'db'}], bytes: expect.any(Number), pausedMs: 0},
  ])
  const {disks} = (await ok('diff', 'both', '--json')).json
  expect(disks).toEqual([
    {vm: 'web', disk: 'disk', bytes: expect.any(Number)},
    {vm: 'db', disk: 'disk', bytes: expect.any(Number)},
  ])
  for (const {bytes} of disks) expect(bytes).toBeGreaterThanOrEqual(64 * 1024)
  await ok('restore', 'both', 'db')
  expectContent('db', 1)
  expectContent('web', 2)
  await runCommand('destroy', 'db')
  expect((await ok('ls', '--json')).json.snapshots).toMatchObject([{vms: [{name: 'web'}]}])
  await ok('restore', 'both')
  expectContent('web', 1)
  await runCommand('destroy', 'web')
  expect((await ok('ls')).stdout).toMatch(/^No snapshots\./)
  expect(readdirSync(join(workspace.stateDirectory, 'snapshots'))).toEqual([])
})

test('what cannot be is refused with what to do, and changes nothing', async () => {
  await create('web')
  await create('db')
  await ok('create', 'one', 'web')
  await refused('vmctl::usage::invalid', 'snapshot', 'create', '../x', 'web')
  await refused('vmctl::snapshot::name_exists', 'snapshot', 'create', 'one', 'web')
  await refused('vmctl::vm::not_found', 'snapshot', 'create', 'two', 'nobody')
  expect((await refused('vmctl::snapshot::not_found', 'snapshot', 'restore', 'onee', 'web')).help).toContain('Did you mean "one"?')
  await refused('vmctl::snapshot::not_found', 'snapshot', 'restore', 'one', 'web', 'db')
  await ok('create', 'one', 'db')
  expect((await refused('vmctl::snapshot::not_found', 'snapshot', 'rm', 'one')).message).toContain('of web, of db')
  const [layer = ''] = layers('web')
  rmSync(join(directoryOf('web'), layer))
  await runCommand('start', 'web')
  await refused('vmctl::snapshot::damaged', 'snapshot', 'restore', 'one', 'web')
  expect((await runCommand('list', '--json')).json.vms).toMatchObject([{name: 'db'}, {name: 'web', state: 'running'}])
})

test('a VM whose restore was interrupted does not start on half of it', async () => {
  await create('web')
  write('web', 1)
  await ok('create', 'one', 'web')
  write('web', 2)
  const record = join(directoryOf('web'), 'vm.json')
  const {sha256: _seal, ...vm} = JSON.parse(readFileSync(record, 'utf8'))
  writeFileSync(record, JSON.stringify({...vm, restoring: 'one'}))
  expect((await refused('vmctl::snapshot::unfinished', 'start', 'web')).help).toContain('vmctl snapshot restore one web')
  await refused('vmctl::snapshot::unfinished', 'snapshot', 'create', 'two', 'web')
  await ok('restore', 'one', 'web')
  expectContent('web', 1)
  expect((await runCommand('start', 'web')).exitCode).toBe(0)
})
