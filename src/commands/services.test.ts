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
  expect(stdout.trim().split('\n').toSorted()).toEqual(["VM 'shop.web-0' restarted", "VM 'shop.web-1' restarted"])
  expect(await states()).toEqual(['shop.db running', 'shop.web-0 running', 'shop.web-1 running'])
})

test('a failure of one does not stop the others', async () => {
  await runCommand('stop', 'web-0')
  const {exitCode, stderr} = await runCommand('stop', 'web')
  expect(exitCode).toBe(6)
  expect(stderr).toContain('shop.web-0 is stopped, which does not allow stop')
  expect(await states()).toEqual(['shop.db running', 'shop.web-0 stopped', 'shop.web-1 stopped'])
})
