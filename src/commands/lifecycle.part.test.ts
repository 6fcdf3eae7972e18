import {appendFileSync, mkdirSync, readdirSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {afterAll, beforeAll, beforeEach, expect, test} from 'vitest'

import {makeWorkspace, runCommand, spawnCommand, type Workspace} from '../../test/support/run-command.ts'
import {generateKeyPair, lockVm, openStore} from '../../test/support/state.ts'

let workspace: Workspace
beforeAll(() => {
  workspace = makeWorkspace()
})
afterAll(() => workspace[Symbol.dispose]())
beforeEach(() => rmSync(join(workspace.stateDirectory, 'vms'), {recursive: true, force: true}))

const create = (name: string, ...more: readonly string[]) => runCommand('create', '--name', name, '--image', workspace.image, ...more)

const uuid = expect.stringMatching(/^[0-9a-f-]{36}$/)

test('a life by single commands, in text', async () => {
  const steps: readonly (readonly [readonly string[], RegExp])[] = [
    [['start', 'web'], /^web: started\n$/],
    [['suspend', 'web'], /^web: suspended\n$/],
    [['resume', 'web'], /^web: resumed\n$/],
    [['stop', 'web'], /^web: stopped\n$/],
    [['start', 'web'], /^web: started\n$/],
    [['destroy', 'web'], /^web: destroyed\n$/],
  ]
  expect(await create('web')).toMatchObject({
    exitCode: 0,
    stderr: expect.stringMatching(/^\[ *\d+\.\ds\] backend noop: no real VM is made\n$/),
    stdout: expect.stringMatching(/^web: created \(id: [0-9a-f-]{36}\)\n$/),
  })
  for (const [words, stdout] of steps) {
    const ran = await runCommand(...words)
    expect(ran, words.join(' ')).toMatchObject({exitCode: 0, stderr: ''})
    expect(ran.stdout).toMatch(stdout)
  }
  expect(readdirSync(join(workspace.stateDirectory, 'vms'))).toEqual([])
})

test('the same in JSON', async () => {
  const created = await create('web', '--start', '--json')
  expect(created.json).toEqual({name: 'web', id: uuid, state: 'running', vms: [{name: 'web', id: uuid, state: 'running'}]})
  const {id} = created.json
  for (const [verb, state] of [
    ['suspend', 'suspended'],
    ['resume', 'running'],
    ['stop', 'stopped'],
    ['start', 'running'],
  ] as const) {
    const ran = await runCommand(verb, 'web', '--json')
    expect(ran.json).toEqual({name: 'web', id, state, vms: [{name: 'web', id, state}]})
    expect(ran).toMatchObject({exitCode: 0, stderr: ''})
  }
  expect((await runCommand('destroy', 'web', '--json')).json).toEqual({name: 'web', vms: [{name: 'web'}]})
})

test('create takes a name as an argument too, and images by alias', async () => {
  const {image} = workspace
  expect(await runCommand('create', 'web', '--image', image)).toMatchObject({exitCode: 0})
  expect(await runCommand('create', '--image', image)).toMatchObject({exitCode: 2, stdout: ''})
  expect(await runCommand('create', 'a', '--name', 'b', '--image', image)).toMatchObject({exitCode: 2, stdout: ''})
  expect(await runCommand('create', 'bad name', '--image', image)).toMatchObject({exitCode: 2, stdout: ''})
  const ran = await runCommand('create', 'other', '--image', 'debain:12')
  expect(ran).toMatchObject({exitCode: 3, stdout: ''})
  expect(ran.stderr).toContain('Did you mean "debian:12"?')
  expect((await runCommand('list', '--json')).json).toMatchObject({vms: [{name: 'web'}]})
})

test('VMCTL_QEMU and VMCTL_OVMF_* name what QEMU and its firmware are, where the VM says nothing', async () => {
  const {image} = workspace
  const before = {...process.env}
  try {
    Object.assign(process.env, {VMCTL_BACKEND: 'qemu', VMCTL_QEMU: '/no/such/qemu'})
    const ran = await runCommand('create', 'web', '--image', image, '--start')
    expect(ran.exitCode).toBe(4)
    expect(ran.stderr).toContain('/no/such/qemu')
    process.env.VMCTL_OVMF_CODE = '/no/such/code.fd'
    expect(await runCommand('list')).toMatchObject({exitCode: 2, stderr: expect.stringContaining('only one is set')})
    process.env.VMCTL_OVMF_VARS = image
    const uefi = await runCommand('create', 'uefi', '--image', image, '--uefi')
    expect(uefi.exitCode).toBe(4)
    expect(uefi.stderr).toContain('/no/such/code.fd')
  } finally {
    for (const name of ['VMCTL_QEMU', 'VMCTL_OVMF_CODE', 'VMCTL_OVMF_VARS']) delete process.env[name]
    process.env.VMCTL_BACKEND = before.VMCTL_BACKEND
  }
})

test('create --start says both', async () => {
  expect((await create('web', '--start')).stdout).toMatch(/^web: created \(id: .*\)\nweb: started\n$/)
})

test('what create cannot do is told with a status by kind', async () => {
  await create('web')
  const cases: readonly (readonly [readonly string[], number, string])[] = [
    [['--name', 'web', '--image', workspace.image], 5, 'vmctl::vm::name_exists'],
    [['--name', 'a/b', '--image', workspace.image], 2, 'vmctl::usage::invalid'],
    [['--name', 'x'], 2, 'vmctl::create::no_image'],
    [['--name', 'x', '--image', '/no/such/image'], 3, 'vmctl::image::not_found'],
    [['--name', 'x', '--image', workspace.image, '--memory', '32'], 2, 'vmctl::usage::invalid'],
    [['--name', 'x', '--image', workspace.image, '--ssh-key', '/no/such/key'], 2, 'vmctl::usage::invalid'],
    [['--name', 'x', '--image', workspace.write('text', 'not a disk at all'), '--disk', '1'], 4, 'vmctl::image::'],
  ]
  for (const [words, exitCode, code] of cases) {
    const text = await runCommand('create', ...words)
    expect(text, words.join(' ')).toMatchObject({exitCode, stdout: ''})
    expect(text.stderr).toContain(`error[${code}`)
    expect(text.stderr).toContain('help: ')
    const json = await runCommand('create', ...words, '--json')
    expect(json, words.join(' ')).toMatchObject({exitCode, stderr: ''})
    expect(json.json.error).toMatchObject({code: expect.stringContaining(code), message: expect.any(String), help: expect.any(String)})
  }
  expect((await runCommand('list', '--json')).json.vms).toHaveLength(1)
  expect(readdirSync(join(workspace.stateDirectory, 'vms'))).toEqual(['web'])
})

test('create takes sizes with units, keys and user-data', async () => {
  const key = workspace.write('key.pub', `${generateKeyPair('me').publicKey}\n`)
  await create('sized', '--vcpus', '2', '--memory', '2G', '--disk', '1', '--ssh-key', key)
  const {json} = await runCommand('status', 'sized', '--json')
  expect(json).toMatchObject({vcpus: 2, memoryMiB: 2048, diskBytes: 2 ** 30, network: 'user', seed: expect.stringMatching(/seed\.iso$/)})
  await create('raw', '--cloud-init', workspace.write('user-data', '#cloud-config\n'), '--bridge', 'br0')
  expect((await runCommand('status', 'raw', '--json')).json).toMatchObject({network: 'tap', bridge: 'br0', seed: expect.any(String)})
})

test.each([
  ['resume', 'running', 'Suspend it with `vmctl suspend web`'],
  ['suspend', 'prepared', 'Start it with `vmctl start web`'],
  ['resume', 'prepared', 'Start it with `vmctl start web`'],
  ['suspend', 'suspended', 'Resume it with `vmctl resume web`'],
  ['start', 'suspended', 'Resume it with `vmctl resume web`'],
])('%s of a VM that is %s is refused with advice', async (verb, state, advice) => {
  await create('web', ...(state === 'prepared' ? [] : ['--start']))
  if (state === 'suspended') await runCommand('suspend', 'web')
  const ran = await runCommand(verb, 'web')
  expect(ran).toMatchObject({exitCode: 5, stdout: ''})
  expect(ran.stderr).toContain(`error[vmctl::vm::invalid_state]: VM web is ${state}, which does not allow ${verb}.`)
  expect(ran.stderr).toContain(advice)
  expect((await runCommand('status', 'web', '--json')).json.state).toBe(state)
})

test.each(['start', 'stop', 'suspend', 'resume', 'destroy', 'status', 'log', 'console', 'ssh'])(
  '%s of a VM that does not exist',
  async (verb) => {
    await create('web')
    const ran = await runCommand(verb, 'wbe')
    expect(ran).toMatchObject({exitCode: 3, stdout: ''})
    expect(ran.stderr).toBe(
      'error[vmctl::vm::not_found]: There is no VM named "wbe".\n  help: Did you mean "web"? Run `vmctl list` to see the VMs that exist.\n',
    )
    expect(await runCommand(verb, '../../etc', '--json')).toMatchObject({exitCode: 3, json: {error: {code: 'vmctl::vm::not_found'}}})
  },
)

test('list: nothing, some, a damaged one', async () => {
  expect(await runCommand('list')).toMatchObject({exitCode: 0, stdout: expect.stringMatching(/^No VMs yet\. /)})
  expect((await runCommand('list', '--json')).json).toEqual({vms: []})
  await create('web', '--start')
  await create('db', '--vcpus', '4')
  expect((await runCommand('list')).stdout).toMatch(
    /^NAME .*\ndb +prepared +noop +4 +1\.00 GB +user +- +-\nweb +running +noop +1 +1\.00 GB +user +- +-\n$/,
  )
  expect((await runCommand('list', '--json')).json.vms).toEqual([
    {name: 'db', backend: 'noop', state: 'prepared', vcpus: 4, memoryMiB: 1024, network: 'user'},
    {name: 'web', backend: 'noop', state: 'running', vcpus: 1, memoryMiB: 1024, network: 'user'},
  ])
  mkdirSync(join(workspace.stateDirectory, 'vms/broken'))
  writeFileSync(join(workspace.stateDirectory, 'vms/broken/vm.json'), '{')
  const ran = await runCommand('list')
  expect(ran.exitCode).toBe(0)
  expect(ran.stdout.split('\n').map((line) => line.split(' ')[0])).toEqual(['NAME', 'broken', 'db', 'web', ''])
  expect(ran.stderr).toContain('Warning: broken: The record of the VM broken cannot be read')
  const {json, stderr} = await runCommand('list', '--json')
  expect(stderr).toBe('')
  expect(json.vms[0]).toMatchObject({name: 'broken', state: 'unknown', error: expect.stringContaining('vm.json')})
  expect(await runCommand('status', 'broken')).toMatchObject({exitCode: 5})
  expect(await runCommand('destroy', 'broken')).toMatchObject({exitCode: 0})
})

test('status shows what applies and leaves out what does not', async () => {
  await create('web')
  const {stdout} = await runCommand('status', 'web')
  const labels = stdout
    .trim()
    .split('\n')
    .map((line) => line.split(':')[0])
  expect(labels).toEqual([
    'Name',
    'State',
    'Log in',
    'Network',
    'vCPUs',
    'Memory',
    'Disk',
    'Image',
    'Created',
    'ID',
    'Backend',
    'WorkDir',
    'Overlay',
    'Seed',
  ])
  const {vms, ...only} = (await runCommand('status', 'web', '--json')).json
  expect(vms).toEqual([only])
  expect(only).toEqual({
    name: 'web',
    id: uuid,
    backend: 'noop',
    state: 'prepared',
    vcpus: 1,
    memoryMiB: 1024,
    interfaces: [{kind: 'user'}],
    volumes: [],
    shares: [],
    diskBytes: 16 * 2 ** 20,
    network: 'user',
    workDirectory: join(workspace.stateDirectory, 'vms/web'),
    overlay: join(workspace.stateDirectory, 'vms/web/overlay.qcow2'),
    seed: join(workspace.stateDirectory, 'vms/web/seed.iso'),
    image: workspace.image,
    createdAt: expect.stringMatching(/^20.*Z$/),
    provision: [],
  })
})

test('log: both, one, the last lines, and what is not there', async () => {
  await create('web')
  const directory = join(workspace.stateDirectory, 'vms/web')
  expect((await runCommand('log', 'web')).stdout).toContain('=== console log')
  expect((await runCommand('log', 'web')).stdout).toContain('(not found: nothing was written yet)')
  writeFileSync(join(directory, 'console.log'), '')
  expect((await runCommand('log', 'web', '--console')).stdout).toBe('(empty: the guest wrote nothing to its serial port)\n')
  writeFileSync(join(directory, 'console.log'), 'boot 1\nboot 2\nboot 3')
  writeFileSync(join(directory, 'provision.log'), 'step 1\nstep 2\n')
  expect((await runCommand('log', 'web')).stdout).toBe(
    `=== console log (${directory}/console.log) ===\nboot 1\nboot 2\nboot 3\n=== provision log (${directory}/provision.log) ===\nstep 1\nstep 2\n`,
  )
  expect((await runCommand('log', 'web', '--console', '-n', '2')).stdout).toBe('boot 2\nboot 3')
  expect((await runCommand('log', 'web', '--provision', '--tail', '1')).stdout).toBe('step 2\n')
  expect((await runCommand('log', 'web', '--json')).json).toEqual({
    logs: [
      {vm: 'web', log: 'console', path: `${directory}/console.log`, text: 'boot 1\nboot 2\nboot 3'},
      {vm: 'web', log: 'provision', path: `${directory}/provision.log`, text: 'step 1\nstep 2\n'},
    ],
  })
})

test('log -f follows, as elsewhere; who means a VMFile is told how to name it', async () => {
  await create('web')
  const log = join(workspace.stateDirectory, 'vms/web/provision.log')
  writeFileSync(log, 'step 1\n')
  let isAppended = false
  const followed = await spawnCommand(['log', '-f', 'web', '--provision'], {
    onOutput: ({stdout}, kill) => {
      if (stdout.includes('step 2')) kill('SIGINT')
      else if (stdout.includes('step 1') && !isAppended) {
        isAppended = true
        appendFileSync(log, 'step 2\n')
      }
    },
  })
  expect(followed.stdout).toBe('step 1\nstep 2\n')
  const path = workspace.write('VMFile.kdl', `vm "web" { image ${JSON.stringify(workspace.image)}; }\n`)
  const mistaken = await spawnCommand(['log', '-f', path])
  expect(mistaken.exitCode).toBe(2)
  expect(mistaken.stderr).toBe(
    `error[vmctl::usage::invalid]: "${path}" is no VM; -f means --follow here.\n  help: Name the VMFile in full: \`--file ${path}\`.\n`,
  )
  expect((await spawnCommand(['-f', path, 'log', 'web', '--provision'])).stdout).toBe('step 1\nstep 2\n')
})

test('a backend without a console, and one that does not exist', async () => {
  await create('web', '--start')
  expect(await runCommand('console', 'web')).toMatchObject({
    exitCode: 4,
    stderr: expect.stringContaining('The backend noop has no serial console.'),
  })
  process.env.VMCTL_BACKEND = 'propolis'
  try {
    expect(await create('other')).toMatchObject({
      exitCode: 4,
      stderr: expect.stringContaining('error[vmctl::backend::not_available]: There is no backend named "propolis"'),
    })
  } finally {
    process.env.VMCTL_BACKEND = 'noop'
  }
})

test('a VM that another vmctl works on: who it is, and no wait when asked for', async () => {
  await create('web')
  const store = await openStore(workspace.stateDirectory)
  await using _lock = await lockVm(store, 'web', {purpose: 'vmctl up web', timeoutMs: 0})
  const ran = await runCommand('start', 'web', '--no-wait')
  expect(ran.exitCode).toBe(5)
  expect(ran.stderr).not.toContain('waiting for another vmctl')
  expect(ran.stderr).toContain('error[vmctl::vm::locked]: Another vmctl is at work here: vmctl up web')
  expect(await runCommand('start', 'web', '--lock-timeout', '50ms', '--json')).toMatchObject({
    exitCode: 5,
    stderr: expect.stringContaining(`web: waiting for another vmctl: vmctl up web (process ${process.pid})`),
    json: {error: {code: 'vmctl::vm::locked'}},
  })
  // Whoever only looks needs no lock.
  expect(await runCommand('status', 'web')).toMatchObject({exitCode: 0})
  expect(await runCommand('list')).toMatchObject({exitCode: 0})
})
