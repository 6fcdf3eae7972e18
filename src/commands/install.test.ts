import {existsSync, mkdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {fileURLToPath} from 'node:url'

import {afterEach, beforeEach, expect, test} from 'vitest'

import {makeWorkspace, runCommand, type Workspace} from '../../test/support/run-command.ts'

const programs = join(dirname(fileURLToPath(import.meta.url)), '../../fixtures/bin')
const before = {...process.env}

let workspace: Workspace
let unit: string
let log: string
beforeEach(() => {
  workspace = makeWorkspace()
  const {directory} = workspace
  log = workspace.write('systemctl.log', '')
  unit = join(directory, 'config/systemd/user/vmctl-shop.service')
  Object.assign(process.env, {PATH: `${programs}:${before.PATH}`, XDG_CONFIG_HOME: join(directory, 'config'), SYSTEMCTL_LOG: log})
  workspace.write('VMFile.kdl', `project "shop"\nvm "web" { image "base.qcow2"; stop-grace-period "90s"; }\n`)
  process.env.VMCTL_FILE = join(directory, 'VMFile.kdl')
})
afterEach(() => {
  workspace[Symbol.dispose]()
  delete process.env.VMCTL_FILE
  delete process.env.SYSTEMCTL_FAILS
  Object.assign(process.env, {PATH: before.PATH, XDG_CONFIG_HOME: before.XDG_CONFIG_HOME})
})

test('install writes the unit and tells systemd; uninstall takes it back, twice if need be', async () => {
  const installed = await runCommand('install', '--enable')
  expect(installed).toMatchObject({exitCode: 0, stdout: `${unit} is installed and enabled.\n`})
  const text = readFileSync(unit, 'utf8')
  expect(text).toContain('up --autostart --file')
  expect(text).toContain('TimeoutStopSec=150')
  expect(text).toContain(`Environment="VMCTL_STATE_DIR=${workspace.stateDirectory}"`)
  expect(await runCommand('uninstall')).toMatchObject({exitCode: 0, stdout: `${unit} is removed.\n`})
  expect(existsSync(unit)).toBe(false)
  expect(await runCommand('uninstall')).toMatchObject({exitCode: 0, stdout: `${unit} does not exist; nothing is done.\n`})
  expect(readFileSync(log, 'utf8')).toBe(
    '--user show --property=Version\n--user daemon-reload\n--user enable vmctl-shop.service\n--user disable vmctl-shop.service\n--user daemon-reload\n',
  )
})

test('a dry run prints the unit and does nothing', async () => {
  const {exitCode, stdout} = await runCommand('install', '--dry-run')
  expect(exitCode).toBe(0)
  expect(stdout).toMatch(/^\[Unit\]\nDescription=VMs of shop/)
  expect(existsSync(unit)).toBe(false)
  expect(readFileSync(log, 'utf8')).toBe('')
})

test('systemd that does not answer is an error, and nothing is written', async () => {
  process.env.SYSTEMCTL_FAILS = 'no bus'
  const {exitCode, stderr} = await runCommand('install')
  expect(exitCode).toBe(4)
  expect(stderr).toContain('vmctl::systemd::failed')
  expect(stderr).toContain('no bus')
  expect(stderr).toContain('--dry-run')
  expect(existsSync(unit)).toBe(false)
})

test('a VMFile whose project has the same name neither replaces nor removes the unit', async () => {
  expect(await runCommand('install')).toMatchObject({exitCode: 0})
  const written = readFileSync(unit, 'utf8')
  const other = workspace.write('Other.kdl', 'project "shop"\nvm "web" { image "base.qcow2"; }\n')
  for (const verb of ['install', 'uninstall']) {
    const ran = await runCommand(verb, '--file', other)
    expect(ran, verb).toMatchObject({exitCode: 5, stdout: ''})
    expect(ran.stderr, verb).toContain('error[vmctl::systemd::owned_elsewhere]')
    expect(ran.stderr, verb).toContain(process.env.VMCTL_FILE)
    expect(readFileSync(unit, 'utf8'), verb).toBe(written)
  }
  expect(await runCommand('install')).toMatchObject({exitCode: 0})
  rmSync(process.env.VMCTL_FILE ?? '')
  expect(await runCommand('install', '--file', other)).toMatchObject({exitCode: 0})
  expect(readFileSync(unit, 'utf8')).toContain('Other.kdl')
})

test('a unit that vmctl has not written stays as it is', async () => {
  mkdirSync(dirname(unit), {recursive: true})
  writeFileSync(unit, '[Service]\nExecStart=/bin/true\n')
  for (const verb of ['install', 'uninstall']) expect(await runCommand(verb), verb).toMatchObject({exitCode: 5})
  expect(readFileSync(unit, 'utf8')).toBe('[Service]\nExecStart=/bin/true\n')
})

test('--user names whose VMs they are in a unit of the system', async () => {
  expect((await runCommand('install', '--system', '--user', 'root', '--dry-run')).stdout).toContain('\nUser=root\n')
  expect(await runCommand('install', '--system', '--user', 'no-such-user', '--dry-run')).toMatchObject({exitCode: 2})
  expect(await runCommand('install', '--system', '--user', 'a b', '--dry-run')).toMatchObject({exitCode: 2})
  expect(await runCommand('install', '--user', 'root', '--dry-run')).toMatchObject({exitCode: 2})
})
