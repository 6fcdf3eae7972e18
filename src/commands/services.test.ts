import {existsSync, mkdirSync} from 'node:fs'
import {join} from 'node:path'

import {afterEach, beforeEach, expect, test} from 'vitest'

import {makeWorkspace, runCommand, type Workspace} from '../../test/support/run-command.ts'

let workspace: Workspace
beforeEach(async () => {
  workspace = makeWorkspace()
  process.env.VMCTL_FILE = workspace.write(
    'VMFile.kdl',
    'project "shop"\nvm "db" { image "base.qcow2"; }\nvm "web" { image "base.qcow2"; replicas 2; }\n',
  )
  expect(await runCommand('up', '--no-provision')).toMatchObject({exitCode: 0})
})
afterEach(() => {
  delete process.env.VMCTL_FILE
  workspace[Symbol.dispose]()
})

const states = async (): Promise<unknown> => {
  const {json} = await runCommand('list', '--json')
  return (json as {vms: {name: string; state: string}[]}).vms.map(({name, state}) => `${name} ${state}`)
}

test('a service stands for its replicas, and nothing else is touched', async () => {
  expect((await runCommand('stop', 'web', '--json')).json).toMatchObject({vms: [{name: 'shop.web-0'}, {name: 'shop.web-1'}]})
  expect(await states()).toEqual(['shop.db running', 'shop.web-0 stopped', 'shop.web-1 stopped'])
  expect((await runCommand('start', 'web-1', '--json')).json).toMatchObject({name: 'shop.web-1', state: 'running'})
  expect(await states()).toEqual(['shop.db running', 'shop.web-0 stopped', 'shop.web-1 running'])
})

test('restart starts what is stopped as well', async () => {
  await runCommand('stop', 'web-0')
  const {exitCode, stdout} = await runCommand('restart', 'web')
  expect(exitCode).toBe(0)
  expect(stdout.trim().split('\n').toSorted()).toEqual(['shop.web-0: restarted', 'shop.web-1: restarted'])
  expect(await states()).toEqual(['shop.db running', 'shop.web-0 running', 'shop.web-1 running'])
})

test('a failure of one does not stop the others, and the status is that of one VM', async () => {
  await runCommand('suspend', 'web-0')
  const {exitCode, stderr} = await runCommand('start', 'web', 'db')
  expect(exitCode).toBe(5)
  expect(stderr).toContain('shop.web-0 is suspended, which does not allow start')
  expect(stderr).toContain('1 of 3 VMs failed: shop.web-0')
  expect(await runCommand('start', 'web-0')).toMatchObject({exitCode: 5})
})

test('without names: the VMs of the VMFile; repeated, it says that there is nothing to do', async () => {
  expect(await runCommand('stop')).toMatchObject({exitCode: 0})
  expect(await states()).toEqual(['shop.db stopped', 'shop.web-0 stopped', 'shop.web-1 stopped'])
  const again = await runCommand('stop')
  expect(again.exitCode).toBe(0)
  expect(again.stdout.trim().split('\n').toSorted()).toEqual(['db', 'web-0', 'web-1'].map((name) => `shop.${name}: already stopped`))
  expect((await runCommand('stop', 'db', '--json')).json).toMatchObject({name: 'shop.db', state: 'stopped', unchanged: true})
  expect(await runCommand('start')).toMatchObject({exitCode: 0})
  expect((await runCommand('start', 'db')).stdout).toBe('shop.db: already running\n')
  for (const verb of ['restart', 'suspend', 'resume']) expect(await runCommand(verb), verb).toMatchObject({exitCode: 0})
  expect(await states()).toEqual(['shop.db running', 'shop.web-0 running', 'shop.web-1 running'])
})

test('a project stands for its VMs wherever one is, but not for destroy', async () => {
  process.env.VMCTL_FILE = workspace.write('Other.kdl', 'vm "alone" { image "base.qcow2"; }\n')
  expect((await runCommand('stop', 'shop', '--json')).json.vms.map(({name}: {name: string}) => name)).toEqual([
    'shop.db',
    'shop.web-0',
    'shop.web-1',
  ])
  expect(await runCommand('destroy', 'shop')).toMatchObject({exitCode: 3})
  expect(await states()).toHaveLength(3)
})

test('destroy takes several, and none of them when one is mistyped or stands for more than one', async () => {
  expect(await runCommand('destroy')).toMatchObject({exitCode: 2})
  expect(await runCommand('destroy', 'db', 'wbe-0')).toMatchObject({exitCode: 3})
  expect(await runCommand('destroy', 'db', 'web')).toMatchObject({exitCode: 2})
  expect(await states()).toHaveLength(3)
  const {exitCode, stdout} = await runCommand('destroy', 'db', 'web-1')
  expect(exitCode).toBe(0)
  expect(stdout.trim().split('\n').toSorted()).toEqual(['shop.db: destroyed', 'shop.web-1: destroyed'])
  expect(await states()).toEqual(['shop.web-0 running'])
})

test('VMs that are not created yet are called so, and hide no other', async () => {
  await runCommand('destroy', 'db')
  const told = 'shop.db: is not created yet; `vmctl up` creates it'
  for (const words of [['log'], ['inspect'], ['ssh-config'], ['status'], ['stop']]) {
    const ran = await runCommand(...words)
    expect(ran, words.join(' ')).toMatchObject({exitCode: 0})
    expect(ran.stderr, words.join(' ')).toContain(told)
    expect(ran.stderr + ran.stdout, words.join(' ')).toContain(['log', 'ssh-config'].includes(words[0] ?? '') ? told : 'web-1')
  }
  for (const words of [
    ['ssh', 'db'],
    ['status', 'db'],
    ['logs', 'shop.db'],
    ['exec', 'db', 'true'],
    ['stop', 'web', 'db'],
    ['cp', 'db:/a', '.'],
  ]) {
    const ran = await runCommand(...words)
    expect(ran, words.join(' ')).toMatchObject({exitCode: 3, stdout: ''})
    expect(ran.stderr, words.join(' ')).toContain(`shop.db is not created yet; ${process.env.VMCTL_FILE} defines it.`)
    expect(ran.stderr, words.join(' ')).toContain('`vmctl up shop.db`')
  }
})

test('destroy of a VM that is not created yet removes what an earlier one has left and says so; with others nothing is touched', async () => {
  await runCommand('destroy', 'db')
  const left = join(workspace.stateDirectory, 'vms/.gone-shop.db-0123456789ab')
  mkdirSync(left)
  expect(await runCommand('destroy', 'db', 'web-1')).toMatchObject({exitCode: 3, stdout: ''})
  expect(existsSync(left)).toBe(true)
  const ran = await runCommand('destroy', 'db')
  expect(ran).toMatchObject({exitCode: 3, stdout: ''})
  expect(ran.stderr).toContain(`shop.db is not created yet; ${process.env.VMCTL_FILE} defines it.`)
  expect(existsSync(left)).toBe(false)
  expect(await states()).toEqual(['shop.web-0 running', 'shop.web-1 running'])
})
