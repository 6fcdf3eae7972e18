import {execFile, execFileSync} from 'node:child_process'
import {cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join, resolve} from 'node:path'
import {promisify} from 'node:util'

import {afterAll, beforeAll, expect, test} from 'vitest'

import {startSshd, type TestSshd} from '../support/sshd.ts'

const root = resolve(import.meta.dirname, '../..')
const directory = mkdtempSync(join(tmpdir(), 'vmctl-plugin-'))

let sshd: TestSshd

/** Runs the built vmctl with directories of its own, so that the plugin is linked nowhere else. */
const vmctl = async (words: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> => {
  const {stdout} = await promisify(execFile)(process.execPath, [join(root, 'bin/run.js'), ...words], {
    cwd: directory,
    env: {
      ...process.env,
      NODE_ENV: '',
      HOME: directory,
      XDG_DATA_HOME: join(directory, 'data'),
      XDG_CONFIG_HOME: join(directory, 'config'),
      XDG_CACHE_HOME: join(directory, 'cache'),
      VMCTL_SHELF: join(directory, 'shelf'),
      VMCTL_BACKEND: 'noop',
      VMCTL_NOOP_SSH: `127.0.0.1:${sshd.port}`,
      ...env,
    },
  })
  return stdout
}

const writeVmfile = (text: string): void => {
  writeFileSync(
    join(directory, 'VMFile.kdl'),
    `vm "web" {
      image-url "shelf://disk.qcow2"
      ssh { user "${sshd.user}"; private-key "${sshd.keyPath}"; }
      provision "note" { text "${text}"; path "${directory}/note"; }
    }`,
  )
}

beforeAll(async () => {
  sshd = await startSshd()
  mkdirSync(join(directory, 'shelf'))
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', join(directory, 'shelf/disk.qcow2'), '1M'])
  cpSync(join(root, 'examples/plugin-note'), join(directory, 'plugin-note'), {recursive: true})
  await vmctl(['plugins', 'link', join(directory, 'plugin-note')])
})

afterAll(async () => {
  await sshd[Symbol.asyncDispose]()
  rmSync(directory, {recursive: true, force: true})
})

test('a linked plugin brings an image source and a provisioner, whose changed settings are a changed step', async () => {
  writeVmfile('hello')
  expect(JSON.parse(await vmctl(['up', '--json']))).toMatchObject({vms: [{name: 'web', state: 'running'}]})
  expect(readFileSync(join(directory, 'note'), 'utf8')).toBe('hello\n')
  expect(JSON.parse(await vmctl(['up', '--json']))).toMatchObject({vms: [{actions: []}]})
  writeVmfile('bye')
  expect(await vmctl(['plan'])).toContain('text changed')
  await vmctl(['up'])
  expect(readFileSync(join(directory, 'note'), 'utf8')).toBe('bye\n')
})

test('a linked plugin brings a hypervisor', async () => {
  const paper = {VMCTL_BACKEND: 'paper'}
  await vmctl(['create', '--name', 'sheet', '--image', 'shelf/disk.qcow2', '--start'], paper)
  expect(JSON.parse(await vmctl(['list', '--json']))).toMatchObject({
    vms: [{name: 'sheet', backend: 'paper', state: 'running'}, {name: 'web'}],
  })
  await vmctl(['destroy', 'sheet'])
})

test('settings that the plugin refuses are a problem of the VMFile, at their place', async () => {
  writeFileSync(
    join(directory, 'bad.kdl'),
    'vm "web" {\n  image-url "shelf://disk.qcow2"\n  ssh { user "x"; }\n  provision "note" { path "/tmp/x"; }\n}\n',
  )
  await expect(vmctl(['validate', '--file', 'bad.kdl'])).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/bad\.kdl:4:.*[\s\S]*a note needs a text|a note needs a text[\s\S]*bad\.kdl:4:/),
  })
})
