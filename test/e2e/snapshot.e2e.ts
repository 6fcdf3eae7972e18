import {existsSync, readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'

import {expect, inject} from 'vitest'

import {eventually} from '../support/vm-guests.ts'
import {expectFailure} from '../support/vm-lab.ts'
import {isAlive, qemusBelow} from '../support/vm-processes.ts'
import {scenario} from '../support/vm-scenario.ts'

/** Moments of a stack of guests that run: kept at one instant, and put back with all that was in memory. */
const {lab, step, check} = scenario('snapshot')

interface Made {
  readonly pausedMs: number
  readonly vms: readonly {readonly name: string; readonly hasMemory: boolean}[]
}
const [db, web] = ['shop.db', 'shop.web']
const count = async (vm: string): Promise<number> => Number(await lab.guest(vm, 'cat /run/count'))
const bootId = (vm: string): Promise<string> => lab.guest(vm, 'cat /proc/sys/kernel/random/boot_id')
const received = async (): Promise<number> => Number((await lab.guest(db, 'wc -l < /run/received')).trim())
const background = (vm: string, command: string): Promise<string> => lab.guest(vm, `sudo sh -c '(${command}) >/dev/null 2>&1 </dev/null &'`)

step('a stack with a volume, a process that counts in memory, and a connection between the two', async () => {
  const block = (name: string, body: string): string =>
    `vm "${name}" { image ${JSON.stringify(inject('micro'))}; memory 192; ssh { user "dev"; }; cloud-init {}; ${body} }`
  lab.vmfile(
    [
      'project "shop"',
      'network "default"',
      'volume "data" { size "64M"; }',
      block('db', 'volume "data" target="/srv/data";'),
      block('web', ''),
    ].join('\n'),
  )
  await lab.ok('up')
  await lab.guest(db, 'echo before | sudo tee /etc/story /srv/data/story >/dev/null; sync')
  await background(db, 'i=0; while :; do i=$((i+1)); echo $i >/run/count; sleep 1; done')
  await background(db, 'tail -f /dev/null | nc -l -p 5000 >/run/received')
  await background(web, 'until (while :; do echo tick; sleep 1; done) | nc db 5000; do sleep 1; done')
  await eventually(async () => expect(await received()).toBeGreaterThan(2), {timeoutMs: 30_000})
})

/** Seconds by which the clock of a guest is behind. */
const skew = async (): Promise<number> => Date.now() / 1000 - Number(await lab.guest(db, 'date +%s'))
let skewed: number
let boot: string
let counted: number

step('create keeps both at once while they run, and they go on', async () => {
  boot = await bootId(db)
  skewed = await skew()
  counted = await count(db)
  const made = await lab.json<Made>('snapshot', 'create', 'whole')
  expect(made.vms).toEqual([
    {name: db, hasMemory: true},
    {name: web, hasMemory: true},
  ])
  expect(made.pausedMs).toBeGreaterThan(0)
  for (const name of [db, web]) expect((await lab.status(name)).state).toBe('running')
  await eventually(async () => expect(await count(db)).toBeGreaterThan(counted + 2), {timeoutMs: 20_000})
  expect(await bootId(db)).toBe(boot)
})

step('restore brings files, volume, processes, the clock and the connection back', async () => {
  await lab.guest(db, "echo after | sudo tee /etc/story /srv/data/story >/dev/null; sync; sudo sh -c 'echo 100000 >/run/count'")
  await lab.ok('snapshot', 'restore', 'whole', '--yes')
  expect(await lab.guest(db, 'cat /etc/story /srv/data/story')).toBe('before\nbefore')
  expect(await bootId(db)).toBe(boot)
  const now = await count(db)
  expect(now).toBeLessThan(100_000)
  await eventually(async () => expect(await count(db)).toBeGreaterThan(now + 1), {timeoutMs: 20_000})
  const lines = await received()
  await eventually(async () => expect(await received()).toBeGreaterThan(lines + 1), {timeoutMs: 30_000})
})

check('the clock of a guest that was put back is right', async (context) => {
  if (Math.abs(skewed) > 5) context.skip('the guest has measured its processor wrong at boot, so its clock is wrong by itself')
  expect(Math.abs(await skew())).toBeLessThan(10)
})

step('the disks alone: a guest boots from what was written by then', async () => {
  await lab.guest(web, 'echo kept | sudo tee /etc/story >/dev/null')
  const made = await lab.json<Made>('snapshot', 'create', 'disks', web, '--disk-only')
  expect(made.vms).toEqual([{name: web, hasMemory: false}])
  await lab.guest(web, 'echo lost | sudo tee /etc/story >/dev/null; sync')
  await lab.ok('snapshot', 'restore', 'disks', web, '--yes')
  expect((await lab.status(web)).state).toBe('stopped')
  await lab.ok('start', web)
  expect(await lab.guest(web, 'cat /etc/story')).toBe('kept')
})

step('a command that is killed while the guests stand still leaves them running, and no snapshot', async () => {
  const directory = join(lab.stateDirectory, 'snapshots')
  const before = readdirSync(directory)
  const acts = join(lab.root, 'acts')
  await lab.run(['snapshot', 'create', 'killed'], {env: {VMCTL_ACTS: acts}})
  await lab.ok('snapshot', 'rm', 'killed')
  const held =
    readFileSync(acts, 'utf8')
      .split('\n')
      .find((line) => line.endsWith('after qmp stop')) ?? ''
  const killed = await lab.run(['snapshot', 'create', 'killed'], {env: {VMCTL_KILL_AT: held.split(' ')[0]}})
  expect(killed.signal).toBe('SIGKILL')
  const after = await eventually(
    async () => {
      const seen = await count(db)
      expect(existsSync(join(lab.directory(db), 'held.json'))).toBe(false)
      return seen
    },
    {timeoutMs: 20_000},
  )
  await eventually(async () => expect(await count(db)).toBeGreaterThan(after), {timeoutMs: 20_000})
  expect(readdirSync(directory)).toEqual(before)
  await lab.ok('snapshot', 'create', 'killed')
  await lab.ok('snapshot', 'rm', 'killed')
})

step('what memory no longer fits is refused while the guest runs', async () => {
  await lab.ok('snapshot', 'create', 'fits', web)
  const outcome = await lab.run(['snapshot', 'restore', 'fits', web, '--yes'], {env: {VMCTL_ACCEL: 'hvf'}})
  expectFailure(outcome, outcome.exitCode ?? 0, 'vmctl::qemu::accelerator_unavailable')
  expect((await lab.status(web)).state).toBe('running')
})

step('destroyed VMs take their snapshots along, and their volumes do without', async () => {
  await lab.ok('down', '--destroy', '--yes')
  expect(readdirSync(join(lab.stateDirectory, 'snapshots'))).toEqual([])
  expect(readdirSync(join(lab.stateDirectory, 'volumes/shop'))).toEqual(['data.json', 'data.qcow2'])
  for (const {pid} of qemusBelow(lab.root)) expect(isAlive(pid)).toBe(false)
  await lab.ok('up')
  expect(await lab.guest(db, 'cat /srv/data/story')).toBe('before')
})
