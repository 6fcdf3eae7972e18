import {existsSync, readdirSync, readFileSync, statSync} from 'node:fs'
import {join} from 'node:path'

import {expect, inject} from 'vitest'

import type {VmPlan} from '../../src/engine/plan/vm-plan.ts'
import {eventually} from '../support/vm-guests.ts'
import {expectFailure} from '../support/vm-lab.ts'
import {isAlive, qemusBelow} from '../support/vm-processes.ts'
import {scenario} from '../support/vm-scenario.ts'

/** Guests whose memory goes to disk over night, and which go on in the morning. */
const {lab, step, check} = scenario('saved')

const [db, web] = ['shop.db', 'shop.web']
const bootId = (vm: string): Promise<string> => lab.guest(vm, 'cat /proc/sys/kernel/random/boot_id')
const received = async (): Promise<number> => Number((await lab.guest(db, 'wc -l < /run/received')).trim())
const background = (vm: string, command: string): Promise<string> => lab.guest(vm, `sudo sh -c '(${command}) >/dev/null 2>&1 </dev/null &'`)
/** Seconds by which the clock of a guest is behind. */
const skew = async (vm: string): Promise<number> => Date.now() / 1000 - Number(await lab.guest(vm, 'date +%s'))
const vmfile = (memory: number): void => {
  const block = (name: string): string =>
    `vm "${name}" { image ${JSON.stringify(inject('micro'))}; memory ${memory}; ssh { user "dev"; }; cloud-init {}; }`
  lab.vmfile(['project "shop"', 'network "default"', block('db'), block('web')].join('\n'))
}
const mark = (vm: string): string => join(lab.directory(vm), 'saved.json')

let boot: string
let skewed: number

step('a stack of two with a connection between them', async () => {
  vmfile(192)
  await lab.ok('up')
  boot = await bootId(db)
  await background(db, 'tail -f /dev/null | nc -l -p 5000 >/run/received')
  await background(web, 'until (while :; do echo tick; sleep 1; done) | nc db 5000; do echo broken >>/run/broken; sleep 1; done')
  await eventually(async () => expect(await received()).toBeGreaterThan(2), {timeoutMs: 30_000})
  await lab.guest(web, 'sudo rm -f /run/broken')
  skewed = await skew(db)
})

step('down --save keeps their memory, and nothing of them runs', async () => {
  await lab.ok('down', '--save')
  expect(qemusBelow(lab.root)).toEqual([])
  for (const name of [db, web]) {
    const {state, saved, pid} = await lab.status(name)
    expect(state).toBe('saved')
    expect(pid).toBeUndefined()
    expect(saved?.bytes).toBeGreaterThan(2 ** 20)
    expect(statSync(join(lab.directory(name), 'saved/memory.zst')).mode & 0o777).toBe(0o600)
  }
  expectFailure(await lab.vmctl('exec', web, '--', 'true'), 5, 'vmctl::vm::invalid_state')
})

step('a VMFile that wants a start is told of before the guests go on as they were', async () => {
  vmfile(224)
  const {vms} = await lab.json<{readonly vms: readonly VmPlan[]}>('plan')
  for (const {steps, notices} of vms) {
    expect(steps.map(({action}) => action)).toEqual(['load', 'wait'])
    expect(notices.join()).toContain('memory 192 → 224 MB')
  }
  vmfile(192)
})

step('up goes on: the same boot, the same connection, and no memory that could be loaded again', async () => {
  const lines = await lab.ok('up')
  expect(lines.stdout).toContain('2 VMs up')
  expect(await bootId(db)).toBe(boot)
  const before = await received()
  await eventually(async () => expect(await received()).toBeGreaterThan(before + 1), {timeoutMs: 30_000})
  expect(await lab.guest(web, 'test -e /run/broken || echo never')).toBe('never')
  for (const name of [db, web]) expect(readdirSync(lab.directory(name)).filter((file) => file.startsWith('saved'))).toEqual([])
})

check('the clock of a guest that was loaded is right', async (context) => {
  if (Math.abs(skewed) > 5) context.skip('the guest has measured its processor wrong at boot, so its clock is wrong by itself')
  expect(Math.abs(await skew(db))).toBeLessThan(2)
})

/** The line of an act of a command, by which it can be killed there. */
const actOf = async (args: readonly string[], isIt: (line: string) => boolean): Promise<string> => {
  const acts = join(lab.root, `acts-${args.join('-')}`)
  expect((await lab.run(args, {env: {VMCTL_ACTS: acts}})).exitCode).toBe(0)
  const line = readFileSync(acts, 'utf8').split('\n').find(isIt)
  return line?.split(' ')[0] ?? expect.unreachable(`no such act of ${args.join(' ')}`)
}

step('who is killed leaves guests that are saved or go on, never both and never neither', async () => {
  const isMark = (line: string): boolean => line.endsWith(`after rename ${mark(web)}`)
  const saved = await actOf(['suspend', '--disk', web], isMark)
  const gone = await actOf(['resume', web], (line) => line.endsWith(`after remove ${mark(web)}`))
  // Before the mark the guest goes on, although it stood still and all of its memory was sent.
  const early = await lab.run(['suspend', '--disk', web], {env: {VMCTL_KILL_AT: String(Number(saved) - 1)}})
  expect(early.signal).toBe('SIGKILL')
  expect(existsSync(mark(web))).toBe(false)
  await eventually(async () => expect(existsSync(join(lab.directory(web), 'held.json'))).toBe(false), {timeoutMs: 20_000})
  expect(await lab.guest(web, 'echo alive')).toBe('alive')
  // After it the guest is saved, and its process ends without having run again.
  const late = await lab.run(['suspend', '--disk', web], {env: {VMCTL_KILL_AT: saved}})
  expect(late.signal).toBe('SIGKILL')
  expect((await lab.status(web)).state).toBe('saved')
  await eventually(async () => expect(qemusBelow(lab.root)).toHaveLength(1), {timeoutMs: 20_000})
  await lab.ok('resume', web)
  // Loaded, and killed before the mark has gone: it is still saved.
  await lab.ok('suspend', '--disk', web)
  const before = await lab.run(['resume', web], {env: {VMCTL_KILL_AT: String(Number(gone) - 1)}})
  expect(before.signal).toBe('SIGKILL')
  expect((await lab.status(web)).state).toBe('saved')
  await eventually(async () => expect(qemusBelow(lab.root)).toHaveLength(1), {timeoutMs: 20_000})
  await lab.ok('resume', web)
  // Killed right after: it goes on.
  await lab.ok('suspend', '--disk', web)
  const after = await lab.run(['resume', web], {env: {VMCTL_KILL_AT: gone}})
  expect(after.signal).toBe('SIGKILL')
  await eventually(async () => expect(existsSync(join(lab.directory(web), 'held.json'))).toBe(false), {timeoutMs: 20_000})
  expect(await lab.guest(web, 'echo alive')).toBe('alive')
  const ticks = await received()
  await eventually(async () => expect(await received()).toBeGreaterThan(ticks + 1), {timeoutMs: 30_000})
})

step('memory that no longer fits is kept until somebody gives it up', async () => {
  await lab.guest(web, 'echo kept | sudo tee /etc/story >/dev/null; sync')
  const before = await bootId(web)
  await lab.ok('suspend', '--disk', web)
  expectFailure(await lab.run(['resume', web], {env: {VMCTL_QEMU: '/bin/false'}}), 5, 'vmctl::snapshot::incompatible')
  expect((await lab.status(web)).state).toBe('saved')
  await lab.ok('start', web, '--discard-saved')
  expect(await bootId(web)).not.toBe(before)
  expect(await lab.guest(web, 'cat /etc/story')).toBe('kept')
})

step('stop lets a saved guest power off in order', async () => {
  await lab.guest(web, 'echo unwritten | sudo tee /etc/story >/dev/null')
  await lab.ok('suspend', '--disk', web)
  await lab.ok('stop', web)
  expect((await lab.status(web)).state).toBe('stopped')
  await lab.ok('start', web)
  expect(await lab.guest(web, 'cat /etc/story')).toBe('unwritten')
  await lab.ok('down', '--save')
  await lab.ok('down', '--destroy', '--yes')
  for (const {pid} of qemusBelow(lab.root)) expect(isAlive(pid)).toBe(false)
})
