import {execFileSync} from 'node:child_process'
import {existsSync, readdirSync, readFileSync, rmSync} from 'node:fs'
import {join} from 'node:path'

import {afterAll, afterEach, beforeAll, beforeEach, expect, test} from 'vitest'

import {makeWorkspace, runCommand, spawnCommand, type Workspace} from '../../test/support/run-command.ts'

let workspace: Workspace
beforeAll(() => {
  workspace = makeWorkspace()
})
afterAll(() => workspace[Symbol.dispose]())
// The network has a program of its own, which goes with the last VM.
afterEach(async () => void (await runCommand('destroy', ...names(), '--yes')))
beforeEach(() => {
  for (const name of ['vms', 'snapshots', 'volumes', 'networks'])
    rmSync(join(workspace.stateDirectory, name), {recursive: true, force: true})
  workspace.write(
    'VMFile.kdl',
    `project "shop"
network "lan" { subnet "10.9.0.0/24"; }
volume "data" { size "16M"; }
vm "web" {
    image "${workspace.image}"
    cloud-init { runcmd "once"; }
    network "lan" ip="10.9.0.9"
    port host=18080 guest=80
    volume "data" target="/srv/data"
}
`,
  )
})

const directoryOf = (name: string): string => join(workspace.stateDirectory, 'vms', name)
const diskOf = (name: string): string => join(directoryOf(name), 'overlay.qcow2')
const volumeOf = (scope: string): string => join(workspace.stateDirectory, 'volumes', scope, 'data.qcow2')
const io = (disk: string, command: string): string => execFileSync('qemu-io', ['-f', 'qcow2', '-c', command, disk], {encoding: 'utf8'})
const write = (disk: string, pattern: number): void => void io(disk, `write -P ${pattern} 1M 64k`)
const holds = (disk: string, pattern: number): boolean => !io(disk, `read -P ${pattern} 1M 64k`).includes('failed')
const record = (name: string) => JSON.parse(readFileSync(join(directoryOf(name), 'vm.json'), 'utf8'))

/** Makes the VM, and the disk that a real one would have. */
const up = async (): Promise<void> => {
  // There is no guest that it could wait for.
  await runCommand('up', '--file', join(workspace.directory, 'VMFile.kdl'))
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', workspace.image, diskOf('shop.web'), '16M'])
  write(diskOf('shop.web'), 1)
  write(volumeOf('shop'), 2)
}
const clone = (...words: readonly string[]) => runCommand('clone', ...words)
const names = (): readonly string[] => readdirSync(join(workspace.stateDirectory, 'vms')).toSorted()

test('a clone has the disks of its VM and nothing else of it, and goes its own way', async () => {
  await up()
  const {stdout, exitCode} = await clone('shop.web', 'web2')
  expect([exitCode, stdout]).toEqual([0, expect.stringMatching(/^web2: cloned from shop\.web.*`vmctl start web2` boots it\n$/)])
  const [was, is] = [record('shop.web'), record('web2')]
  expect(is).toMatchObject({derivedFrom: 'shop.web', phase: 'prepared', spec: {cloudInit: {hostname: 'web2'}, ports: [{guest: 80}]}})
  for (const word of ['vmfile', 'failure']) expect(is).not.toHaveProperty(word)
  for (const word of ['project', 'service']) expect(is.spec).not.toHaveProperty(word)
  expect(is.spec.ports[0]).not.toHaveProperty('host')
  expect(is.id).not.toBe(was.id)
  const [one, other] = [was, is].map(({attachments}) => attachments.nics[0])
  expect([other.ip === one.ip, other.mac === one.mac, other.network]).toEqual([false, false, one.network])
  const files = ['known_hosts', 'id_ed25519_generated'].map((file) =>
    [was, is].map(({name}) => readFileSync(join(directoryOf(name), file), 'utf8')),
  )
  for (const [mine, theirs] of files) expect(mine).not.toBe(theirs)
  write(diskOf('shop.web'), 3)
  expect([holds(diskOf('web2'), 1), holds(diskOf('shop.web'), 3)]).toEqual([true, true])
  expect((await runCommand('start', 'web2')).exitCode).toBe(0)
  write(volumeOf('shop'), 4)
  expect([holds(volumeOf('web2'), 2), holds(volumeOf('shop'), 4)]).toEqual([true, true])
  expect(readdirSync(directoryOf('shop.web')).filter((file) => file.includes('@'))).toEqual([])
  // It is none of the VMFile.
  expect((await runCommand('down', '--destroy', '--volumes', '--file', join(workspace.directory, 'VMFile.kdl'))).exitCode).toBe(0)
  expect(names()).toEqual(['web2'])
  expect([holds(diskOf('web2'), 1), holds(volumeOf('web2'), 2)]).toEqual([true, true])
})

test('of a VM with snapshots too the clone stands on the image alone', async () => {
  await up()
  await runCommand('snapshot', 'create', 'one', 'shop.web')
  write(diskOf('shop.web'), 5)
  expect((await clone('shop.web', 'web2')).exitCode).toBe(0)
  await runCommand('destroy', 'shop.web', '--yes')
  expect(holds(diskOf('web2'), 5)).toBe(true)
  expect(JSON.parse(execFileSync('qemu-img', ['info', '--output=json', diskOf('web2')], {encoding: 'utf8'}))['backing-filename']).toBe(
    workspace.image,
  )
})

test('what cannot be is refused before anything is made', async () => {
  await up()
  const refused = async (code: string, ...words: readonly string[]): Promise<void> => {
    expect((await clone(...words, '--json')).json.error.code, words.join(' ')).toBe(code)
    expect(names()).toEqual(['shop.web'])
  }
  await refused('vmctl::vm::not_found', 'nobody', 'web2')
  await refused('vmctl::usage::invalid', 'shop.web', '../web2')
  await refused('vmctl::vm::name_exists', 'shop.web', 'shop.web')
  execFileSync('mkdir', ['-p', join(workspace.stateDirectory, 'volumes/web2')])
  execFileSync('cp', [volumeOf('shop'), volumeOf('web2')])
  await refused('vmctl::vm::name_exists', 'shop.web', 'web2')
  expect(holds(volumeOf('web2'), 2)).toBe(true)
})

test('killed at any act there is the clone or nothing, and the VM is as it was', async () => {
  await up()
  const acts = join(workspace.directory, 'acts')
  const run = (env: NodeJS.ProcessEnv) => spawnCommand(['clone', 'shop.web', 'web2'], {env})
  expect((await run({VMCTL_ACTS: acts})).exitCode).toBe(0)
  const points = readFileSync(acts, 'utf8').trim().split('\n')
  const isAdopted = points.findIndex((line) => line.includes('after rename') && line.endsWith('/vms/web2')) + 1
  expect(isAdopted).toBeGreaterThan(10)
  for (let at = 2; at <= points.length; at += Math.ceil(points.length / 5)) {
    await runCommand('destroy', 'web2', '--yes')
    expect((await run({VMCTL_KILL_AT: `${at}`})).exitCode, points[at - 1]).toBe(-1)
    const isThere = existsSync(directoryOf('web2'))
    expect(isThere, points[at - 1]).toBe(at >= isAdopted)
    if (!isThere) expect((await run({})).exitCode, points[at - 1]).toBe(0)
    expect([holds(diskOf('web2'), 1), holds(diskOf('shop.web'), 1), holds(volumeOf('shop'), 2)], points[at - 1]).toEqual([true, true, true])
    expect(await runCommand('start', 'web2'), points[at - 1]).toMatchObject({exitCode: 0})
    await runCommand('destroy', 'web2', '--yes')
    await runCommand('volume', 'rm', 'web2.data', '--yes')
    expect(names(), points[at - 1]).toEqual(['shop.web'])
  }
})
