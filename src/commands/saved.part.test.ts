import {existsSync, mkdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {afterAll, beforeAll, beforeEach, expect, test} from 'vitest'

import {makeWorkspace, runCommand, spawnCommand, type Workspace} from '../../test/support/run-command.ts'

let workspace: Workspace
beforeAll(() => {
  workspace = makeWorkspace()
  process.env.VMCTL_FILE = join(workspace.directory, 'VMFile.kdl')
})
afterAll(() => {
  delete process.env.VMCTL_FILE
  workspace[Symbol.dispose]()
})
beforeEach(() => {
  for (const part of ['vms', 'volumes', 'snapshots']) rmSync(join(workspace.stateDirectory, part), {recursive: true, force: true})
  write(['web', 'db'])
})

/** A VMFile with these VMs; `more` is in each of them. */
const write = (names: readonly string[], more = ''): void =>
  writeFileSync(
    join(workspace.directory, 'VMFile.kdl'),
    ['volume "data" { size "1M"; }', ...names.map((name) => `vm "${name}" { image ${JSON.stringify(workspace.image)}; ${more} }`)].join(
      '\n',
    ),
  )

const mark = (name: string): string => join(workspace.stateDirectory, 'vms', name, 'saved.json')
const statesOf = async (): Promise<readonly string[]> =>
  (await runCommand('list', '--json')).json.vms.map(({name, state}: {name: string; state: string}) => `${name} ${state}`)
const plan = async (...words: readonly string[]): Promise<readonly {vm: string; steps: {action: string}[]; notices: string[]}[]> =>
  (await runCommand('plan', '--json', ...words)).json.vms

test('down --save, what is shown of it, and up', async () => {
  await runCommand('up')
  const saved = await runCommand('down', '--save')
  expect(saved).toMatchObject({exitCode: 0, stdout: expect.stringMatching(/^2 VMs saved in /)})
  expect(await statesOf()).toEqual(['db saved', 'web saved'])
  const {savedAt, bytes} = (await runCommand('status', 'web', '--json')).json.vms[0].saved
  expect(new Date(savedAt).toISOString()).toBe(savedAt)
  expect(bytes).toBeGreaterThan(0)
  expect((await runCommand('ps', '--json')).json.vms).toMatchObject([
    {name: 'web', state: 'saved', saved: {savedAt}},
    {name: 'db', state: 'saved', saved: {savedAt}},
  ])
  expect((await runCommand('ps')).stdout).toMatch(/saved \(noop\) \(since \d{4}-\d\d-\d\d \d\d:\d\d UTC, \d+ B on disk\)/)
  const again = await runCommand('down')
  expect(again).toMatchObject({exitCode: 0})
  expect(again.stderr).toContain('is saved')
  expect(await statesOf()).toEqual(['db saved', 'web saved'])
  const up = await runCommand('up', '--json')
  expect(up.json.vms.map(({actions}: {actions: {action: string}[]}) => actions.map(({action}) => action))).toEqual([['load'], ['load']])
  expect(await statesOf()).toEqual(['db running', 'web running'])
  expect(existsSync(mark('web'))).toBe(false)
  expect(existsSync(join(workspace.stateDirectory, 'vms/web/saved'))).toBe(false)
})

test('each verb on a VM that is saved', async () => {
  const save = async (): Promise<void> => {
    await runCommand('up')
    expect(await runCommand('suspend', '--disk', 'web')).toMatchObject({exitCode: 0, stdout: 'web: saved\n'})
  }
  const expectations: readonly (readonly [readonly string[], string])[] = [
    [['suspend', '--disk', 'web'], 'saved'],
    [['resume', 'web'], 'running'],
    [['start', 'web'], 'running'],
    [['start', 'web', '--discard-saved'], 'running'],
    [['up', '--discard-saved'], 'running'],
    [['stop', 'web'], 'stopped'],
    [['restart', 'web'], 'running'],
    [['down', '--no-save'], 'stopped'],
    [['snapshot', 'create', 'kept', 'web'], 'saved'],
    [['snapshot', 'restore', 'kept', 'web', '--yes'], 'running'],
    [['reload', 'web', '--yes'], 'running'],
  ]
  for (const [words, state] of expectations) {
    await save()
    expect(await runCommand(...words), words.join(' ')).toMatchObject({exitCode: 0})
    expect(await statesOf(), words.join(' ')).toContain(`web ${state}`)
    if (state !== 'saved') expect(existsSync(mark('web')), words.join(' ')).toBe(false)
  }
  await save()
  for (const words of [
    ['suspend', 'web'],
    ['package', 'web', '-o', join(workspace.directory, 'web.qcow2')],
    ['ssh', 'web'],
  ]) {
    const refused = await runCommand(...words)
    expect(refused.exitCode, `${words.join(' ')}: ${refused.stderr}${refused.stdout}`).not.toBe(0)
    expect(await statesOf()).toContain('web saved')
  }
  expect((await runCommand('clone', 'web', 'two')).stderr).toContain('VM web is saved')
  expect(await runCommand('down', '--destroy', '--yes')).toMatchObject({exitCode: 0})
  expect(await statesOf()).toEqual([])
})

test('a VM that was suspended runs when it goes on', async () => {
  await runCommand('up')
  await runCommand('suspend', 'web')
  await runCommand('down', '--save')
  await runCommand('up')
  expect(await statesOf()).toEqual(['db running', 'web running'])
})

test('a changed VMFile is told before a guest goes on as it was, and restart brings it', async () => {
  await runCommand('up')
  await runCommand('down', '--save')
  write(['web', 'db'], 'memory 2048')
  expect(await plan()).toMatchObject([
    {vm: 'web', steps: [{action: 'load'}], notices: [expect.stringContaining('`vmctl restart web`')]},
    {vm: 'db', steps: [{action: 'load'}]},
  ])
  expect((await plan('--for', 'down'))[0]).toMatchObject({steps: [], notices: [expect.stringMatching(/^is saved, as of /)]})
  await runCommand('up')
  const memory = async (): Promise<number> => (await runCommand('status', 'web', '--json')).json.vms[0].memoryMiB
  expect(await memory()).toBe(1024)
  await runCommand('down', '--save')
  await runCommand('restart', 'web')
  expect(await memory()).toBe(2048)
  // With the word of the user the change comes with a boot from the disk.
  expect(await runCommand('up', '--discard-saved')).toMatchObject({exitCode: 0, stderr: expect.stringContaining('--discard-saved')})
  expect((await runCommand('status', 'db', '--json')).json.vms[0].memoryMiB).toBe(2048)
})

test('a guest whose memory is not all of it is refused while every one runs', async () => {
  mkdirSync(join(workspace.directory, 'www'), {recursive: true})
  writeFileSync(
    join(workspace.directory, 'VMFile.kdl'),
    `vm "web" { image ${JSON.stringify(workspace.image)}; }
vm "db" { image ${JSON.stringify(workspace.image)}; ssh { user "root"; }; share "www" target="/srv"; }`,
  )
  await runCommand('up', '--no-provision')
  const before = await statesOf()
  const refused = await runCommand('down', '--save')
  expect(refused.exitCode).toBe(5)
  expect(refused.stderr).toContain('shared folders')
  expect(await statesOf()).toEqual(before)
})

test('the volume of a saved guest is nobody else to write to', async () => {
  write(['web'], 'volume "data" target="/srv"; ssh { user "root"; }')
  await runCommand('up', '--no-provision')
  await runCommand('down', '--save')
  write(['db'], 'volume "data" target="/srv"; ssh { user "root"; }')
  const refused = await runCommand('up', '--no-provision')
  expect(refused.stderr).toContain('is in use by the VM web, which is saved')
  expect(await statesOf()).toContain('web saved')
})

test('killed at any act, a guest is saved or runs, and up brings it on', async () => {
  write(['web'])
  await runCommand('up')
  const acts = join(workspace.directory, 'acts')
  const env = {...process.env, VMCTL_ACTS: acts}
  await spawnCommand(['down', '--save'], {cwd: workspace.directory, env})
  const lines = readFileSync(acts, 'utf8').trim().split('\n')
  const turn = lines.findIndex((line) => line.endsWith(`after rename ${mark('web')}`)) + 1
  expect(turn).toBeGreaterThan(1)
  for (const [at, state] of [
    [turn - 1, 'running'],
    [turn, 'saved'],
  ] as const) {
    await runCommand('up')
    await spawnCommand(['down', '--save'], {cwd: workspace.directory, env: {...process.env, VMCTL_KILL_AT: String(at)}})
    expect(await statesOf(), `killed at ${lines[at - 1]}`).toEqual([`web ${state}`])
  }
})

test('a record that cannot be read hides nothing, and nothing is booted beside it', async () => {
  await runCommand('up', 'web')
  await runCommand('down', '--save', 'web')
  writeFileSync(mark('web'), '{}')
  expect((await runCommand('list', '--json')).json.vms).toMatchObject([
    {name: 'web', state: 'unknown', error: expect.stringContaining('saved.json')},
  ])
  expect((await runCommand('up', 'web')).exitCode).not.toBe(0)
  rmSync(mark('web'))
  expect(await runCommand('up', 'web')).toMatchObject({exitCode: 0})
})

test('warm: down saves by itself, and powers off in order what cannot be saved', async () => {
  mkdirSync(join(workspace.directory, 'www'), {recursive: true})
  const warm = (word: string): void =>
    writeFileSync(
      join(workspace.directory, 'VMFile.kdl'),
      `project "shop" { ${word}; }
vm "web" { image ${JSON.stringify(workspace.image)}; network "user"; }
vm "files" { image ${JSON.stringify(workspace.image)}; ssh { user "root"; }; network "user"; share "www" target="/srv"; }`,
    )
  warm('warm #true')
  const checked = await runCommand('validate')
  expect(checked).toMatchObject({exitCode: 0})
  expect(checked.stderr + checked.stdout).toContain('vm "files" cannot stay warm: it has shared folders')
  await runCommand('up', '--no-provision')
  expect(await plan('--for', 'down')).toMatchObject([
    {vm: 'shop.files', steps: [{action: 'stop'}], notices: [expect.stringContaining('although it is warm')]},
    {vm: 'shop.web', steps: [{action: 'save', cause: 'warm, running'}]},
  ])
  await runCommand('down')
  expect(await statesOf()).toEqual(['shop.files stopped', 'shop.web saved'])
  await runCommand('up', '--no-provision')
  await runCommand('down', '--no-save')
  expect(await statesOf()).toEqual(['shop.files stopped', 'shop.web stopped'])
  warm('warm #false')
  await runCommand('up', 'web', '--warm')
  await runCommand('down', 'web')
  expect(await statesOf()).toContain('shop.web saved')
  await runCommand('up', 'web')
  await runCommand('down', 'web')
  expect(await statesOf()).toContain('shop.web stopped')
})
