import {afterEach, beforeEach, expect, test} from 'vitest'

import {makeWorkspace, runCommand, type Workspace} from '../../test/support/run-command.ts'

let workspace: Workspace
beforeEach(() => {
  workspace = makeWorkspace()
})
afterEach(() => {
  delete process.env.VMCTL_FILE
  workspace[Symbol.dispose]()
})

const stack = (project: string): void => {
  const vm = (name: string): string => `vm "${name}" { image "base.qcow2"; cloud-init; }\n`
  process.env.VMCTL_FILE = workspace.write('VMFile.kdl', `${project}\n${vm('db')}${vm('web')}`)
}

const ids = async (): Promise<unknown> => {
  const {json} = await runCommand('list', '--json')
  return (json as {vms: {name: string; id: string}[]}).vms.map(({name, id}) => `${name} ${id}`)
}

const networks = async (): Promise<unknown> => {
  const {json} = await runCommand('network', 'ls', '--json')
  return (json as {networks: {id: string; members: {vm: string}[]}[]}).networks.map(({id, members}) => [id, ...members.map(({vm}) => vm)])
}

test('a new project has a network, and the plan says so', async () => {
  stack('project "shop"')
  expect((await runCommand('plan')).stdout).toContain('The VMs of the project share a network, "default"; `network "user"` keeps a VM out')
  expect(await runCommand('up', '--no-provision')).toMatchObject({exitCode: 0})
  expect(await networks()).toEqual([['shop.default', 'shop.db', 'shop.web']])
})

test('a stack that runs without it is told, and keeps its VMs as they are until they are restarted', async () => {
  stack('project "shop" { defaults { network "user"; }; }')
  expect(await runCommand('up', '--no-provision')).toMatchObject({exitCode: 0})
  const before = await ids()
  stack('project "shop"')
  const told = 'changed, needs a restart (`vmctl restart shop.db`): networks +default'
  expect((await runCommand('plan', '--no-provision')).stdout).toContain(told)
  const up = await runCommand('up', '--no-provision')
  expect(up).toMatchObject({exitCode: 0})
  expect(up.stderr + up.stdout).toContain(told)
  expect(await ids()).toEqual(before)
  expect((await runCommand('inspect', 'db', '--json')).json[0].spec.networks).toBeUndefined()
  await runCommand('stop', 'db')
  expect((await runCommand('plan', '--no-provision')).stdout).toMatch(/shop\.db +update +networks \+default/)
})
