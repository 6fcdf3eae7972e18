import {execFileSync} from 'node:child_process'
import {mkdirSync, readdirSync, readFileSync, rmSync} from 'node:fs'
import {join} from 'node:path'

import {afterAll, beforeAll, beforeEach, expect, test} from 'vitest'

import {makeWorkspace, runCommand, spawnCommand, type Workspace} from '../../test/support/run-command.ts'

let workspace: Workspace
beforeAll(() => {
  workspace = makeWorkspace()
})
afterAll(() => workspace[Symbol.dispose]())

const directoryOf = (name: string): string => join(workspace.stateDirectory, 'vms', name)
const diskOf = (name: string, state = workspace.stateDirectory): string => join(state, 'vms', name, 'overlay.qcow2')
const io = (disk: string, command: string): string => execFileSync('qemu-io', ['-f', 'qcow2', '-c', command, disk], {encoding: 'utf8'})
const write = (disk: string, pattern: number): void => void io(disk, `write -P ${pattern} 1M 64k`)
const holds = (disk: string, pattern: number): boolean => !io(disk, `read -P ${pattern} 1M 64k`).includes('failed')
const forks = (): readonly string[] => {
  const place = join(workspace.stateDirectory, 'forks')
  mkdirSync(place, {recursive: true, mode: 0o700})
  return readdirSync(place)
}
const tried = (words: readonly string[], env: NodeJS.ProcessEnv = {}) => spawnCommand(['try', ...words], {cwd: workspace.directory, env})
const writesTo = (pattern: number): readonly string[] => [
  ...['--', 'sh', '-ec'],
  `qemu-io -f qcow2 -c "write -P ${pattern} 1M 64k" "$VMCTL_STATE_DIR/vms/web/overlay.qcow2" >&2; echo "$VMCTL_FORK"`,
]

beforeEach(async () => {
  for (const name of ['vms', 'snapshots', 'volumes', 'networks', 'forks'])
    rmSync(join(workspace.stateDirectory, name), {recursive: true, force: true})
  for (const name of ['web', 'db']) {
    expect((await runCommand('create', '--name', name, '--image', workspace.image)).exitCode).toBe(0)
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', workspace.image, diskOf(name), '16M'])
    write(diskOf(name), 1)
    expect((await runCommand('start', name)).exitCode).toBe(0)
  }
})

test('a command writes to the fork alone, has its status passed on, and nothing of the fork is left', async () => {
  const [first, second] = await Promise.all([tried(['web', 'db', ...writesTo(2)]), tried(['web', ...writesTo(3)])])
  for (const {stdout, stderr, exitCode} of [first, second])
    expect([exitCode, stdout, stderr]).toEqual([0, expect.stringMatching(/^[0-9a-f]{6}\n$/), expect.stringContaining(': ready after')])
  expect(await tried(['web', '--', 'sh', '-c', 'exit 9'])).toMatchObject({exitCode: 9})
  expect(forks()).toEqual([])
  expect(readdirSync(join(workspace.stateDirectory, 'locks')).filter((file) => file.startsWith('fork-'))).toEqual([])
  expect([holds(diskOf('web'), 1), holds(diskOf('db'), 1)]).toEqual([true, true])
  expect(readdirSync(directoryOf('web')).filter((file) => file.includes('@'))).toEqual([])
  expect((await runCommand('list', '--json')).json.vms).toMatchObject([{state: 'running'}, {state: 'running'}])
})

test('one that is kept can be used until it is removed, whatever becomes of layers of the VM', async () => {
  const {stdout, stderr} = await tried(['web', '--keep', ...writesTo(2)])
  const [fork = ''] = forks()
  expect([stdout, stderr]).toEqual([`${fork}\n`, expect.stringContaining(`\`vmctl try --remove ${fork}\` removes it`)])
  const state = join(workspace.stateDirectory, 'forks', fork)
  expect((await runCommand('list', '--state-dir', state, '--json')).json.vms).toMatchObject([{name: 'web', state: 'running'}])
  expect((await runCommand('ps', '--all')).stderr).toContain(`The fork ${fork} of web is kept`)
  await runCommand('snapshot', 'create', 'one', 'web')
  write(diskOf('web'), 4)
  await runCommand('snapshot', 'rm', 'one', 'web')
  expect([holds(diskOf('web', state), 2), holds(diskOf('web'), 4)]).toEqual([true, true])
  await runCommand('stop', 'web', '--state-dir', state)
  await runCommand('destroy', 'web', '--state-dir', state, '--yes')
  expect(holds(diskOf('web'), 4)).toBe(true)
  expect(await tried(['--remove', fork])).toMatchObject({exitCode: 0, stdout: `fork ${fork}: removed\n`})
  expect([forks(), readdirSync(directoryOf('web')).filter((file) => file.includes('@'))]).toEqual([[], []])
  expect((await tried(['--remove', fork, '--json'])).json.error.code).toBe('vmctl::vm::not_found')
})

test('what cannot be had twice is refused before anything is made', async () => {
  const change = (name: string, spec: object): void => {
    const path = join(directoryOf(name), 'vm.json')
    const {sha256: _seal, ...record} = JSON.parse(readFileSync(path, 'utf8'))
    execFileSync('tee', [path], {input: JSON.stringify({...record, spec: {...record.spec, ...spec}}), stdio: ['pipe', 'ignore', 'inherit']})
  }
  const refused = async (code: string, ...words: readonly string[]): Promise<void> => {
    expect((await tried([...words, '--json', '--', 'true'])).json.error.code, words.join(' ')).toBe(code)
    expect(forks()).toEqual([])
  }
  await refused('vmctl::vm::not_found', 'nobody')
  expect((await tried(['web', '--json'])).json.error.code).toBe('vmctl::usage::invalid')
  change('web', {shares: [{source: '/srv', target: '/srv', isFile: false, readOnly: false, automount: true, driver: 'auto', options: []}]})
  await refused('vmctl::vm::not_forkable', 'db', 'web')
  change('web', {shares: [], network: {type: 'tap', bridge: 'br0'}})
  await refused('vmctl::vm::not_forkable', 'web')
  await runCommand('suspend', 'db')
  await refused('vmctl::vm::invalid_state', 'db')
})

test('killed at any act the VMs are as they were, what is left is told, and the next one removes it', async () => {
  const acts = join(workspace.directory, 'acts')
  const run = (env: NodeJS.ProcessEnv) => tried(['web', 'db', ...writesTo(2)], env)
  expect((await run({VMCTL_ACTS: acts})).exitCode).toBe(0)
  const points = readFileSync(acts, 'utf8').trim().split('\n')
  expect(points.length).toBeGreaterThan(30)
  for (let at = 2; at <= points.length; at += Math.ceil(points.length / 9)) {
    expect((await run({VMCTL_KILL_AT: `${at}`})).exitCode, points[at - 1]).toBe(-1)
    const [left, ...others] = forks()
    expect(others, points[at - 1]).toEqual([])
    const {stderr} = await runCommand('ps', '--all')
    if (left === undefined) expect(stderr, points[at - 1]).not.toContain('fork')
    else expect(stderr, points[at - 1]).toMatch(new RegExp(`The fork ${left} .*left by a .*\`vmctl try --remove ${left}\` removes it`))
    expect((await runCommand('list', '--json')).json.vms, points[at - 1]).toMatchObject([{state: 'running'}, {state: 'running'}])
    expect([(await run({})).exitCode, forks()], points[at - 1]).toEqual([0, []])
    expect([holds(diskOf('web'), 1), holds(diskOf('db'), 1)], points[at - 1]).toEqual([true, true])
    expect(
      readdirSync(directoryOf('web')).filter((file) => file.includes('@')),
      points[at - 1],
    ).toEqual([])
  }
})
