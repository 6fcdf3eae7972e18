import {spawnSync} from 'node:child_process'
import {copyFileSync, cpSync, mkdirSync, symlinkSync} from 'node:fs'
import {join, resolve} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'

import {expect, inject} from 'vitest'

import {eventually} from '../support/vm-guests.ts'
import {expectFailure, expectSuccess} from '../support/vm-lab.ts'
import {isAlive, qemusBelow} from '../support/vm-processes.ts'
import {scenario} from '../support/vm-scenario.ts'

/** The imperative tutorial of the book, with what happens when a verb does not fit the state, and when QEMU dies. */
const {lab, step, check} = scenario('lifecycle')

const repository = resolve(import.meta.dirname, '../..')
const vm = 'tutorial'
/** The end of its console, when the guest was the last to speak; and what QEMU says when it is ended. */
const poweredOff = /reboot: Power down\s*$/
const bySigterm = 'terminating on signal 15'
const pidOf = (): number => qemusBelow(lab.root)[0]?.pid ?? 0
const uptime = async (): Promise<number> => Number((await lab.guest(vm, 'cat /proc/uptime')).split(' ')[0])

step('create makes a prepared VM from a local image given relative to the current directory', async () => {
  copyFileSync(inject('micro'), join(lab.project, 'image.qcow2'))
  const keygen = spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(lab.home, 'id_ed25519')])
  expect(keygen.status).toBe(0)
  const outcome = await lab.ok(
    'create',
    '--name',
    vm,
    '--image',
    'image.qcow2',
    '--vcpus',
    '2',
    '--memory',
    '192',
    '--ssh-key',
    '~/id_ed25519.pub',
  )
  expect(outcome.stdout).toMatch(/^tutorial: created \(id: [0-9a-f-]{36}\)\n$/)
  expect((await lab.status(vm)).state).toBe('prepared')
  expect(qemusBelow(lab.root)).toEqual([])
})

step('a second VM of that name, a missing image and an impossible name are refused', async () => {
  expectFailure(await lab.vmctl('create', '--name', vm, '--image', 'image.qcow2'), 5, 'vmctl::vm::name_exists')
  expectFailure(await lab.vmctl('create', '--name', 'other', '--image', 'nowhere.qcow2'), 3, 'vmctl::image::not_found')
  expectFailure(await lab.vmctl('create', '--name', 'other'), 2, 'vmctl::create::no_image')
  expectFailure(await lab.vmctl('create', '--name', '../other', '--image', 'image.qcow2'), 2, 'vmctl::usage::invalid')
})

step('verbs that a prepared VM does not allow are refused with the way out', async () => {
  for (const verb of ['suspend', 'resume', 'ssh', 'console']) {
    const outcome = expectFailure(await lab.vmctl(verb, vm), 5, 'vmctl::vm::invalid_state')
    expect(outcome.stderr).toMatch(/prepared/)
    expect(outcome.stderr).toMatch(/help: /)
  }
})

step('start boots it; list and status show it as the book does', async () => {
  expect((await lab.ok('start', vm)).stdout).toBe('tutorial: started\n')
  const {stdout} = await lab.ok('list')
  const [head, row] = stdout.split('\n').map((line) => line.trim().split(/\s+/))
  expect(head).toEqual(['NAME', 'STATE', 'BACKEND', 'VCPUS', 'MEMORY', 'NETWORK', 'PID', 'SSH'])
  const {sshPort, pid} = await lab.status(vm)
  expect(row).toEqual([vm, 'running', 'qemu', '2', '192.0', 'MB', 'user', String(pid), String(sshPort)])
  expect(pid).toBe(pidOf())
  const {stdout: text} = await lab.ok('status', vm)
  for (const label of [
    'Name',
    'ID',
    'Backend',
    'State',
    'vCPUs',
    'Memory',
    'Disk',
    'Network',
    'WorkDir',
    'Overlay',
    'Seed',
    'PID',
    'SSH',
    'MAC',
  ]) {
    expect(text).toMatch(new RegExp(`^${label}: +\\S`, 'm'))
  }
})

step('ssh waits for the guest, logs in as "vm" with the key beside the public one, and passes the exit status on', async () => {
  const key = ['--key', join(lab.home, 'id_ed25519')]
  const outcome = expectSuccess(await lab.run(['ssh', vm, ...key, '--', 'id -un; hostname; echo to-stderr >&2']))
  expect(outcome.stdout).toBe('vm\ntutorial\n')
  expect(outcome.stderr).toContain('to-stderr')
  expect((await lab.vmctl('ssh', vm, '--', 'exit 42')).exitCode).toBe(42)
  expect(await lab.guest(vm, "printf '%s|' 'a b' \"c'd\" '$HOME'")).toBe("a b|c'd|$HOME|")
  expect((await lab.ok('ssh', vm, '--', 'printf', '%s|', 'a b', "c'd", '$HOME', '')).stdout).toBe("a b|c'd|$HOME||")
  expect(await lab.guest(vm, 'sudo id -u')).toBe('0')
})

step('starting a running VM does nothing, resuming it is refused, and it is untouched', async () => {
  const pid = pidOf()
  expect((await lab.ok('start', vm)).stdout).toBe('tutorial: already running\n')
  expectFailure(await lab.vmctl('resume', vm), 5, 'vmctl::vm::invalid_state')
  expect(pidOf()).toBe(pid)
  expect(await lab.guest(vm, 'echo still here')).toBe('still here')
})

step('suspend halts the guest, resume continues it where it was', async () => {
  const before = await uptime()
  await lab.ok('suspend', vm)
  expect((await lab.status(vm)).state).toBe('suspended')
  expect((await lab.json<{vms: unknown[]}>('list')).vms).toMatchObject([{name: vm, state: 'suspended'}])
  expectFailure(await lab.vmctl('suspend', vm), 5, 'vmctl::vm::invalid_state')
  const refused = expectFailure(await lab.vmctl('ssh', vm), 5, 'vmctl::vm::invalid_state')
  expect(refused.stderr).toContain(`vmctl resume ${vm}`)
  await lab.ok('resume', vm)
  expect((await lab.status(vm)).state).toBe('running')
  expect(await uptime()).toBeGreaterThan(before)
})

step('after a pause the clock of the guest is that of the host again, to a tenth of a second', async () => {
  const behindMs = async (): Promise<number> => {
    const before = Date.now()
    const shown = await lab.guest(vm, 'busybox adjtimex')
    const [seconds, microseconds] = ['sec', 'usec'].map((unit) => Number(new RegExp(`time\\.tv_${unit}: *(\\d+)`).exec(shown)?.[1]))
    const guest = Number(seconds) * 1000 + Number(microseconds) / 1000
    // What lies between the two looks at the host's clock is right.
    return guest < before ? before - guest : Math.min(0, Date.now() - guest)
  }
  // On a busy host the guest may take longer than that to start the program that sets its clock.
  const misses: number[] = []
  while (misses.length < 4 && !misses.some((miss) => miss < 100)) {
    await lab.ok('suspend', vm)
    await sleep(2000)
    await lab.ok('resume', vm)
    misses.push(Math.abs(await behindMs()))
  }
  expect(Math.min(...misses)).toBeLessThan(100)

  await lab.guest(vm, 'sudo date -u -s "@$(($(date +%s) - 86400))"')
  await lab.ok('suspend', vm)
  const {stderr} = await lab.ok('resume', vm)
  expect(stderr).toMatch(/its clock is 24 h 0 min behind that of the host, and not by the pause/)
  expect(await behindMs()).toBeGreaterThan(86_000_000)
})

step('a suspended VM is stopped in an orderly way', async () => {
  await lab.guest(vm, 'echo precious > ~/file; sync')
  const pid = pidOf()
  await lab.ok('suspend', vm)
  const outcome = await lab.ok('stop', vm)
  expect(outcome.stdout).toBe('tutorial: stopped\n')
  expect(outcome.stderr).not.toContain('forced off')
  expect(lab.read(vm, 'console.log')).toMatch(poweredOff)
  expect(lab.read(vm, 'qemu.log')).not.toContain(bySigterm)
  expect(isAlive(pid)).toBe(false)
  expect((await lab.status(vm)).state).toBe('stopped')
})

step('a stopped VM starts again with its disk', async () => {
  expect((await lab.ok('stop', vm)).stdout).toBe('tutorial: already stopped\n')
  await lab.ok('start', vm)
  expect(await lab.guest(vm, 'cat file')).toBe('precious')
})

step('when QEMU is killed, status tells the truth at once and start recovers', async () => {
  process.kill(pidOf(), 'SIGKILL')
  await eventually(() => expect(qemusBelow(lab.root)).toEqual([]), {everyMs: 5})
  const status = await lab.status(vm)
  expect(status.state).toBe('stopped')
  expect(status.pid).toBeUndefined()
  expect((await lab.ok('list')).stdout).toMatch(/tutorial .* - +\d+$/m)
  expectFailure(await lab.vmctl('ssh', vm), 5, 'vmctl::vm::invalid_state')
  await lab.ok('start', vm)
  expect(await lab.guest(vm, 'cat file')).toBe('precious')
})

step('a guest that ignores the power button is ended by SIGTERM when its time is up', async () => {
  await lab.guest(vm, 'sudo killall acpid; sync')
  const pid = pidOf()
  const outcome = await lab.ok('stop', vm, '--timeout', '3')
  expect(outcome.stderr).toContain('tutorial: was forced off: it did not power off within 3.0 s')
  expect(lab.read(vm, 'console.log')).not.toMatch(poweredOff)
  expect(lab.read(vm, 'qemu.log').split(bySigterm)).toHaveLength(2)
  expect(isAlive(pid)).toBe(false)
})

step('a QEMU that answers nobody is ended by SIGKILL', async () => {
  await lab.ok('start', vm)
  const pid = pidOf()
  process.kill(pid, 'SIGSTOP')
  const stopped = await lab.json('stop', vm, '--timeout', '1')
  expect(isAlive(pid)).toBe(false)
  expect(stopped).toMatchObject({name: vm, state: 'stopped', forced: 'its power button could not be reached'})
  // The one of before: a process that is stopped has said nothing of this one.
  expect(lab.read(vm, 'qemu.log').split(bySigterm)).toHaveLength(2)
})

step('destroy removes the VM in any state with everything of it, and knows names', async () => {
  await lab.ok('start', vm)
  const pid = pidOf()
  process.kill(pid, 'SIGSTOP')
  const wrong = expectFailure(await lab.vmctl('destroy', 'tutoral'), 3, 'vmctl::vm::not_found')
  expect(wrong.stderr).toContain('Did you mean "tutorial"?')
  expect((await lab.ok('destroy', vm)).stdout).toBe('tutorial: destroyed\n')
  expect(isAlive(pid)).toBe(false)
  expect((await lab.ok('list')).stdout).toMatch(/^No VMs yet\. /)
  expectFailure(await lab.vmctl('destroy', vm), 3, 'vmctl::vm::not_found')
})

/** One VM has the shape of many, beside its own. */
const asOneOfMany = (one: Readonly<Record<string, unknown>>): object => ({...one, vms: [one]})

check('create --start and every other verb print JSON and nothing else with --json', async () => {
  const made = await lab.json<{state: string; id: string}>('create', '--name', 'j', '--image', 'image.qcow2', '--memory', '128', '--start')
  expect(made).toMatchObject({name: 'j', state: 'running', id: expect.stringMatching(/^[0-9a-f-]{36}$/)})
  expect(await lab.json('suspend', 'j')).toMatchObject({name: 'j', state: 'suspended'})
  expect(await lab.json('resume', 'j')).toMatchObject({name: 'j', state: 'running'})
  expect(await lab.json('start', 'j')).toMatchObject({name: 'j', state: 'running', unchanged: true})
  expect(await lab.jsonError('resume', 'j')).toMatchObject({exitCode: 5, error: {code: 'vmctl::vm::invalid_state', state: 'running'}})
  expect(await lab.json('log', 'j')).toMatchObject({logs: [{log: 'console'}, {log: 'provision'}]})
  expect(await lab.json('image', 'inspect', 'image.qcow2')).toMatchObject({format: 'qcow2'})
  expect(await lab.json('image', 'list')).toBeTypeOf('object')
  // Who gives a guest no time has asked for what happens.
  expect(await lab.json('stop', 'j', '--timeout', '0')).toEqual(asOneOfMany({name: 'j', id: made.id, state: 'stopped'}))
  expect(await lab.json('destroy', 'j')).toEqual(asOneOfMany({name: 'j'}))
  expect(await lab.jsonError('status', 'j')).toMatchObject({exitCode: 3, error: {code: 'vmctl::vm::not_found'}})
})

check('the first program of the library page makes a VM, runs a program in it, and removes it', async () => {
  mkdirSync(join(lab.project, 'node_modules'))
  lab.write('package.json', '{"type": "module"}')
  symlinkSync(repository, join(lab.project, 'node_modules/vmctl'))
  cpSync(join(repository, 'examples/library/first.ts'), join(lab.project, 'first.ts'))
  const ran = await lab.run([], {program: [process.execPath, 'first.ts', 'image.qcow2']})
  expect(expectSuccess(ran).stdout).toMatch(/^first is running, SSH on port \d+\n0: Linux first .*\n$/)
  expect((await lab.ok('list')).stdout).toMatch(/^No VMs yet\. /)
})
