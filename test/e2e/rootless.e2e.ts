import {execFileSync, spawnSync} from 'node:child_process'
import {randomBytes} from 'node:crypto'
import {chownSync, copyFileSync, mkdirSync, readFileSync} from 'node:fs'
import {dirname, join, resolve} from 'node:path'
import {fileURLToPath} from 'node:url'

import {afterAll, beforeAll, expect, inject} from 'vitest'

import {needsRoot} from '../support/programs.ts'
import {microVm} from '../support/vm-guests.ts'
import {expectFailure, expectSuccess, type Outcome} from '../support/vm-lab.ts'
import {isAlive, qemusBelow} from '../support/vm-processes.ts'
import {needs, scenario} from '../support/vm-scenario.ts'

/**
 * An ordinary user without sudo, without groups and without capabilities does everything from `up` to `down --destroy`.
 * The user is made by the test and removed after it. The repository may lie where that user cannot look (/root), so it
 * is mounted into the test's directory, in a mount namespace that only the user's commands see.
 */
const missing = needsRoot() ?? needs('useradd', 'userdel', 'setpriv', 'unshare', 'mmdebstrap', 'newuidmap')
const {lab, step} = scenario('rootless', {missing})

const user = `vmctl-e2e-${randomBytes(3).toString('hex')}`
const repository = resolve(dirname(fileURLToPath(import.meta.url)), '../..')
let ids = {uid: 0, gid: 0}

beforeAll(() => {
  if (missing !== undefined) return
  execFileSync('useradd', ['--no-create-home', '--home-dir', lab.home, '--shell', '/bin/sh', user])
  const [, , uid = '', gid = ''] = (
    readFileSync('/etc/passwd', 'utf8')
      .split('\n')
      .find((line) => line.startsWith(`${user}:`)) ?? ''
  ).split(':')
  ids = {uid: Number(uid), gid: Number(gid)}
})
afterAll(() => {
  if (ids.uid === 0) return
  spawnSync('userdel', [user], {stdio: 'ignore'})
})

const asUser = (...args: readonly string[]): Promise<Outcome> => {
  const [program, modules, node] = ['repository', 'modules', 'node'].map((name) => join(lab.root, 'mnt', name))
  const script = `set -e
mount --bind ${quote(repository)} ${quote(program ?? '')}
mount --bind "$(readlink -f ${quote(repository)}/node_modules)" ${quote(modules ?? '')}
if [ -L ${quote(program ?? '')}/node_modules ]; then echo 'e2e: node_modules is a symbolic link' >&2; fi
mount --bind ${quote(process.execPath)} ${quote(node ?? '')}
exec setpriv --reuid ${ids.uid} --regid ${ids.gid} --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs ${quote(node ?? '')} ${quote(program ?? '')}/bin/run.js "$@"`
  return lab.run(args, {program: ['unshare', '--mount', 'sh', '-c', script, 'sh', ...args], env: {USER: user, LOGNAME: user}})
}

const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

step('the user can do nothing as root', () => {
  expect(ids.uid).toBeGreaterThan(0)
  mkdirSync(join(lab.root, 'mnt/repository'), {recursive: true})
  mkdirSync(join(lab.root, 'mnt/modules'))
  execFileSync('touch', [join(lab.root, 'mnt/node')])
  copyFileSync(inject('micro'), join(lab.project, 'guest.qcow2'))
  for (const path of [lab.home, lab.project]) chownSync(path, ids.uid, ids.gid)
  const {status} = spawnSync('setpriv', ['--reuid', String(ids.uid), '--regid', String(ids.gid), '--clear-groups', 'sudo', '-n', 'true'])
  expect(status).not.toBe(0)
})

step('an image cannot be built by a user who may have no namespace of users, and that is what is said', async () => {
  const outcome = await asUser('image', 'build', 'debian:12')
  expectFailure(outcome, 4, 'vmctl::image::build_failed')
  expect(outcome.stderr).toMatch(/newuidmap|unshare/)
  expect(outcome.stderr).toContain('/etc/subuid')
})

step('up boots and provisions a VM that belongs to the user', async () => {
  lab.write('motd', 'hello from vmctl\n')
  lab.write('setup.sh', '#!/bin/sh\necho "script by $(id -un)"\n', 0o755)
  lab.vmfile(
    microVm(
      'mine',
      `
    provision "shell" { inline "echo inline; sudo id -un"; }
    provision "file" { source "motd"; destination "/tmp/motd"; }
    provision "shell" { script "setup.sh"; }`,
      {image: 'guest.qcow2'},
    ),
  )
  const outcome = expectSuccess(await asUser('up'))
  expect(outcome.stdout).toMatch(/inline\nroot\n[^]*script by dev\n/)
  const [qemu] = qemusBelow(lab.root)
  expect(readFileSync(`/proc/${qemu?.pid}/status`, 'utf8')).toMatch(new RegExp(`^Uid:\\t${ids.uid}\\t${ids.uid}\\t${ids.uid}`, 'm'))
  expect(readFileSync(`/proc/${qemu?.pid}/status`, 'utf8')).toMatch(/^CapEff:\t0+$/m)
})

step('ssh, suspend, resume, log, down, up and down --destroy work for the user as well', async () => {
  expect(expectSuccess(await asUser('ssh', '--', 'cat /tmp/motd')).stdout).toBe('hello from vmctl\n')
  for (const args of [
    ['suspend', 'mine'],
    ['resume', 'mine'],
    ['log', 'mine', '--provision'],
    ['down'],
    ['up', '--no-provision'],
    ['doctor'],
  ])
    expectSuccess(await asUser(...args))
  const [qemu] = qemusBelow(lab.root)
  expectSuccess(await asUser('down', '--destroy'))
  expect(isAlive(qemu?.pid ?? 0)).toBe(false)
  expect(JSON.parse((await asUser('list', '--json')).stdout)).toEqual({vms: []})
})
