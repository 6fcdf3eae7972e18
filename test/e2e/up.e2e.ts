import {statSync} from 'node:fs'

import {expect} from 'vitest'

import {eventually, inline, leftovers, microVm} from '../support/vm-guests.ts'
import {expectFailure} from '../support/vm-lab.ts'
import {scenario} from '../support/vm-scenario.ts'
import type {VmPlan} from '../../src/engine/plan/vm-plan.ts'
import {isAlive, qemusBelow} from '../support/vm-processes.ts'

/** The declarative life of one VM: `plan`, `up`, a failing step, its correction, no-op, edits, `provision`, `down`, `up`, `reload`, `down --destroy`. */
const {lab, step} = scenario('up')

const count = (line: string): string => `echo ${line} >> ~/runs`
const first = inline(`${count('first')}; echo out-first; echo err-first >&2`)
const slow = inline(`${count('slow')}; echo tick-1; until [ -e ~/go ]; do sleep 0.2; done; echo tick-2`)
const broken = inline(`${count('third')}; echo about-to-fail; echo why >&2; exit 7`)
const mended = inline(`${count('third')}; echo mended`)
const last = inline(`${count('last')}; echo out-last`)

const vmfile = (steps: readonly string[], options: {memory?: number; image?: string; user?: string} = {}): void => {
  lab.vmfile(microVm('web', steps.join('\n'), options))
}

let pid = 0
const qemuPid = (): number => {
  const qemus = qemusBelow(lab.root)
  expect(qemus.map(({args}) => args.join(' '))).toHaveLength(1)
  return qemus[0]?.pid ?? 0
}

step('plan says what up would do and why, and does nothing', async () => {
  vmfile([first, slow, broken, last])
  const {stdout} = await lab.ok('plan')
  expect(stdout).toMatch(/^web +create +does not exist$/m)
  expect(stdout).toMatch(/^web +start +new$/m)
  expect(stdout).toMatch(/^web +provision +step 1 .*: never run$/m)
  const {vms} = await lab.json<{vms: VmPlan[]}>('plan')
  expect(vms[0]?.steps.map(({action}) => action)).toEqual(['create', 'start', 'provision'])
  expect(await lab.json('list')).toEqual({vms: []})
  expect(qemusBelow(lab.root)).toEqual([])
})

step('a name that the VMFile does not define is refused, with the names that it defines', async () => {
  const outcome = expectFailure(await lab.vmctl('up', '--name', 'wen'), 3, 'vmctl::vm::not_found')
  expect(outcome.stderr).toContain('web')
  expect(outcome.stderr).toContain('Did you mean "web"?')
})

step('up boots the VM, streams stdout and stderr of each step while it runs, and stops at the first that fails', async () => {
  const running = lab.start(['up'])
  await eventually(() => expect(running.written.stdout).toContain('tick-1'), {timeoutMs: 120_000, everyMs: 50})
  expect(lab.read('web', 'provision.log')).toContain('tick-1')
  // Without this the step would never end: what it printed has come while it ran.
  await lab.guest('web', 'touch go')
  const outcome = expectFailure(await running.outcome, 6, 'vmctl::provision::failed')
  expect(outcome.stdout.split('\n').filter(Boolean)).toEqual(['out-first', 'tick-1', 'tick-2', 'about-to-fail'])
  expect(outcome.stderr).toMatch(/^err-first$/m)
  expect(outcome.stderr).toMatch(/step 3 .*exit code 7/)
  expect(outcome.stderr).toMatch(/Last lines:\n(?:.*\n)*\s+about-to-fail\n/)
  pid = qemuPid()
})

step('the provision log has all output, in order, and nothing of the steps after the failure', () => {
  const log = lab.read('web', 'provision.log')
  const order = ['Step 1', 'out-first', 'Step 2', 'tick-1', 'tick-2', 'Step 3', 'about-to-fail', 'exit code 7']
  expect(order.map((text) => log.indexOf(text))).toEqual(order.map((text) => log.indexOf(text)).toSorted((left, right) => left - right))
  expect(order.every((text) => log.includes(text))).toBe(true)
  expect(log).toContain('err-first')
  expect(log).toContain('why')
  expect(log).not.toContain('Step 4')
})

step('status and --json tell which step failed', async () => {
  const status = await lab.status('web')
  expect(status.state).toBe('running')
  expect(status.provision.slice(0, 3)).toMatchObject([{state: 'done'}, {state: 'done'}, {state: 'failed', exitCode: 7}])
})

step('up --json reports the failure as JSON, with the step and its exit code', async () => {
  const {exitCode, error} = await lab.jsonError('up')
  expect(exitCode).toBe(6)
  expect(error).toMatchObject({code: 'vmctl::provision::failed', vm: 'web', step: 3, exitCode: 7})
})

step('with the step corrected, up goes on from there and runs no step that had succeeded', async () => {
  vmfile([first, slow, mended, last])
  const {stdout} = await lab.ok('plan')
  expect(stdout).toMatch(/^web +provision +step 3 .*: command changed$/m)
  const outcome = await lab.ok('up')
  expect(outcome.stdout).toContain('mended\nout-last\n')
  expect(outcome.stdout).not.toContain('out-first')
  expect(await lab.guest('web', 'cat runs')).toBe('first\nslow\nthird\nthird\nthird\nlast')
  expect(qemuPid()).toBe(pid)
})

step('a second up touches nothing', async () => {
  const files = ['vm.json', 'guest.json', 'journal.json', 'qemu.json', 'provision.log', 'qemu.log', 'known_hosts']
  const stamps = () => files.map((file) => statSync(`${lab.directory('web')}/${file}`).mtimeMs)
  const before = stamps()
  const outcome = await lab.ok('up')
  expect(outcome.stdout).toBe('web is up to date.\n')
  expect(outcome.stderr).toMatch(/^\[ *\d+\.\ds\] web: is already running\n$/)
  expect(stamps()).toEqual(before)
  expect(qemuPid()).toBe(pid)
  expect(await lab.json('up')).toMatchObject({vms: [{name: 'web', state: 'running', actions: []}]})
  expect(await lab.guest('web', 'wc -l < runs')).toBe('6')
})

step('a change of the memory is told, not applied to the running VM, and not ignored', async () => {
  vmfile([first, slow, mended, last], {memory: 224})
  const {stdout} = await lab.ok('plan')
  expect(stdout).toMatch(/needs a restart .*memory 192 → 224 MB/)
  const outcome = await lab.ok('up')
  expect(outcome.stderr).toMatch(/needs a restart .*memory 192 → 224 MB/)
  expect(qemuPid()).toBe(pid)
})

step('a change of the image is told to need a reload', async () => {
  vmfile([first, slow, mended, last], {image: lab.write('other.qcow2', await otherImage())})
  const outcome = await lab.ok('up')
  expect(outcome.stderr).toContain('needs `vmctl reload --name web`: image')
  expect(qemuPid()).toBe(pid)
})

step('a change of the ssh block is applied in place', async () => {
  vmfile([first, slow, mended, last], {memory: 224, user: 'nobody-here'})
  const planned = await lab.ok('plan')
  expect(planned.stdout).toMatch(/^web +update +ssh/m)
  // Whoever runs a step is part of it, so the steps are to run anew, as somebody whom the guest does not know.
  expect(planned.stdout).toMatch(/^web +provision +step 1 .*: user changed$/m)
  expectFailure(await lab.vmctl('up'), 6, 'vmctl::ssh::authentication_failed')
  expectFailure(await lab.vmctl('ssh', '--', 'true'), 6, 'vmctl::ssh::authentication_failed')
  vmfile([first, slow, mended, last], {memory: 224})
  await lab.ok('up')
  expect(await lab.guest('web', 'id -un')).toBe('dev')
})

step('provision runs all steps again', async () => {
  await lab.ok('provision')
  expect((await lab.guest('web', 'cat runs')).split('\n').slice(6)).toEqual(['first', 'slow', 'third', 'last'])
  expect(qemuPid()).toBe(pid)
})

step('another VMFile that defines a VM of the same name does not get it', async () => {
  const elsewhere = lab.write('elsewhere/VMFile.kdl', microVm('web'))
  for (const verb of [['up'], ['down'], ['down', '--destroy'], ['reload'], ['provision'], ['plan']]) {
    expectFailure(await lab.vmctl(...verb, '--file', elsewhere), 5, 'vmctl::vm::owned_elsewhere')
  }
  expect(qemuPid()).toBe(pid)
})

step('down powers the guest off; a second down does nothing', async () => {
  const outcome = await lab.ok('down')
  expect(outcome.stdout).toMatch(/^web stopped in /m)
  expect(outcome.stderr).not.toContain('forced off')
  expect(lab.read('web', 'console.log')).toMatch(/reboot: Power down\s*$/)
  expect(isAlive(pid)).toBe(false)
  expect((await lab.status('web')).state).toBe('stopped')
  expect((await lab.ok('down')).stderr).toContain('is not running')
})

step('up starts the stopped VM again with its disk, applies the new memory, and provisions it again', async () => {
  const outcome = await lab.ok('up')
  expect(outcome.stderr).toContain('memory 192 → 224 MB')
  expect((await lab.guest('web', 'cat runs')).split('\n')).toHaveLength(14)
  expect(Number(await lab.guest('web', "awk '/MemTotal/ {print $2}' /proc/meminfo"))).toBeGreaterThan(192 * 1024 * 0.9)
  pid = qemuPid()
  expect(qemusBelow(lab.root)[0]?.args).toContain('224M')
})

step('reload with an image that cannot be used leaves the old VM running', async () => {
  const garbage = lab.write('garbage.qcow2', Buffer.alloc(100_000, 'not an image'))
  vmfile([first], {image: garbage})
  const outcome = await lab.vmctl('reload')
  expect(outcome.exitCode, outcome.stderr).not.toBe(0)
  expect(qemuPid()).toBe(pid)
  expect((await lab.guest('web', 'cat runs')).split('\n')).toHaveLength(14)
  expect(leftovers(lab)).toEqual([])
})

step('reload makes the VM anew, with a new disk, new keys and the same port', async () => {
  vmfile([inline('echo reloaded; test ! -e ~/runs')])
  const before = await lab.status('web')
  const key = lab.read('web', 'id_ed25519_generated')
  const outcome = await lab.ok('reload')
  expect(outcome.stdout).toContain('reloaded')
  const after = await lab.status('web')
  expect(after.id).not.toBe(before.id)
  expect(after.sshPort).toBe(before.sshPort)
  expect(lab.read('web', 'id_ed25519_generated')).not.toBe(key)
  expect(isAlive(pid)).toBe(false)
  pid = qemuPid()
})

step('down --destroy removes everything of the VM', async () => {
  await lab.ok('down', '--destroy')
  expect(isAlive(pid)).toBe(false)
  expect(qemusBelow(lab.root)).toEqual([])
  expect(leftovers(lab)).toEqual([])
  expect(await lab.json('list')).toEqual({vms: []})
  expectFailure(await lab.vmctl('status', 'web'), 3, 'vmctl::vm::not_found')
  expect((await lab.ok('down', '--destroy')).stderr).toContain('does not exist')
})

/** A valid image that is not the guest. */
const otherImage = async (): Promise<Buffer> => {
  const {execFileSync} = await import('node:child_process')
  const {readFileSync} = await import('node:fs')
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', `${lab.root}/other.qcow2`, '1G'])
  return readFileSync(`${lab.root}/other.qcow2`)
}
