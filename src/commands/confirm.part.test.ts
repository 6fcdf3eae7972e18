import {readdirSync} from 'node:fs'

import {afterEach, beforeEach, expect, test} from 'vitest'

import {onTerminal} from '../../test/support/terminal.ts'
import {makeWorkspace, runShell, spawnCommand, type Workspace} from '../../test/support/run-command.ts'

let workspace: Workspace
beforeEach(async () => {
  workspace = makeWorkspace()
  workspace.write('VMFile.kdl', ['web', 'db'].map((name) => `vm "${name}" { image "${workspace.image}"; }\n`).join(''))
  expect(await spawnCommand(['up'], {cwd: workspace.directory})).toMatchObject({exitCode: 0})
})
afterEach(() => workspace[Symbol.dispose]())

const vms = (): readonly string[] => readdirSync(`${workspace.stateDirectory}/vms`).toSorted()

/** A command on a terminal, on which somebody types. */
const typing = (keys: string, words: string) =>
  runShell(`cd ${workspace.directory}; printf '${keys}' | script -qefc "$(declare -f vmctl); vmctl ${words}" /dev/null`, {
    env: {SHELL: '/bin/bash'},
  })

test.each([
  ['reload', '`vmctl restart` keeps a disk'],
  ['down --destroy', 'with their disks'],
  ['destroy web db', 'with their disks'],
])('%s says on a terminal what will be lost, and takes anything but yes for no', async (words, said) => {
  const before = vms()
  for (const keys of ['\\r', 'n\\r', 'yesterday\\r', '\\004']) {
    const ran = await typing(keys, words)
    expect([keys, ran.exitCode]).toEqual([keys, 2])
    expect(ran.stdout).toContain('vmctl::usage::not_confirmed')
    expect(ran.stdout).toMatch(/web +\d.* on its disk, made less than a minute ago/)
    expect(ran.stdout).toContain(said)
  }
  expect(vms()).toEqual(before)
  expect(await typing('y\\r', words)).toMatchObject({exitCode: 0})
})

test('Ctrl+C at a question is a no as well, with its own status', async () => {
  const before = vms()
  const ran = await onTerminal(workspace.directory, ['destroy', 'web'], {keys: [{after: '[y/N]', type: '\u0003'}]})
  expect(ran).toMatchObject({exitCode: 130, isRestored: true})
  expect(ran.screen).toContain('Interrupted. Nothing was done.')
  expect(vms()).toEqual(before)
})

test('orphans and volumes are named too', async () => {
  workspace.write('VMFile.kdl', `volume "data" { size "1G"; }\nvm "new" { image "${workspace.image}"; volume "data" "/srv"; }\n`)
  const ran = await typing('n\\r', 'up --remove-orphans')
  expect(ran.exitCode).toBe(2)
  expect(ran.stdout).toMatch(/web +\d.*running, no longer in the\s+VMFile/)
  expect(vms()).toEqual(['db', 'web'])
})

test('--yes, --json and no terminal: nothing is asked; nor is it where nothing would be lost', async () => {
  expect((await typing('', 'reload --yes')).stdout).not.toContain('[y/N]')
  expect((await typing('', 'reload --json')).stdout).not.toContain('[y/N]')
  expect(await spawnCommand(['down', '--destroy'], {cwd: workspace.directory})).toMatchObject({exitCode: 0})
  expect(vms()).toEqual([])
  const ran = await typing('', 'down --destroy')
  expect([ran.exitCode, ran.stdout.includes('[y/N]')]).toEqual([0, false])
})
