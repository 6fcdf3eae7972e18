import {readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'

import {expect} from 'vitest'

import type {VmPlan} from '../../src/engine/plan/vm-plan.ts'
import {inline, microVm} from '../support/vm-guests.ts'
import {expectSuccess} from '../support/vm-lab.ts'
import {scenario} from '../support/vm-scenario.ts'

/** Steps that are done are not paid for twice: their result is in a layer of the disk. */
const {lab, step} = scenario('layers')

const steps = (last: string): string =>
  ['one', 'two', last].map((word) => inline(`echo ${word} >> ~/runs`, 'run "on-change"; cache #true')).join('\n')
const write = (last: string, ...names: readonly string[]): void => lab.vmfile(names.map((name) => microVm(name, steps(last))).join(''))
const plan = async (...words: readonly string[]): Promise<VmPlan> => {
  const {vms} = await lab.json<{readonly vms: readonly VmPlan[]}>('plan', ...words)
  const [first] = vms
  if (!first) throw new Error('no plan')
  return first
}
const hostKey = (name: string): string => lab.read(name, 'known_hosts').split(' ').slice(1).join(' ')
/** The durable acts of a reload, in their order. */
const acts = join(lab.root, 'acts')
const layers = (): string[] => readdirSync(join(lab.stateDirectory, 'layers'))

step('the last step is edited: reload starts from the layer before it, as the same machine', async () => {
  write('three', 'web')
  await lab.ok('up')
  const key = hostKey('web')
  write('3', 'web')
  expect((await plan('web', '--for', 'reload')).steps[0]?.cause).toMatch(/^asked for, running; starts from the layer after step 2 \(/)
  const {stderr} = expectSuccess(await lab.run(['reload', '--yes'], {env: {VMCTL_ACTS: acts}}))
  expect(stderr).toContain('step 3 of 3')
  expect(stderr).not.toContain('step 2 of 3')
  expect(await lab.guest('web', 'cat runs')).toBe('one\ntwo\n3')
  expect(hostKey('web')).toBe(key)
  const {provision} = await lab.json<VmPlan>('why', 'web')
  expect(provision.map(({cause}) => cause.replace(/[0-9a-f]{12}/, 'ID'))).toEqual([
    'from layer ID, unchanged',
    'from layer ID, unchanged',
    'done, unchanged',
  ])
})

step('another VM with the same steps starts after the last one, as a machine of its own', async () => {
  write('3', 'web', 'twin')
  const {stderr} = await lab.ok('up')
  expect(stderr).toContain('twin: will create (does not exist; starts from the layer after step 3')
  expect(stderr).not.toContain('step 1 of 3')
  expect(await lab.guest('twin', 'cat runs; hostname')).toBe('one\ntwo\n3\ntwin')
  expect(hostKey('twin')).not.toBe(hostKey('web'))
  const keys = 'cat /etc/ssh/ssh_host_*_key.pub'
  expect(await lab.guest('twin', keys)).not.toBe(await lab.guest('web', keys))
})

step('nothing is removed that a disk stands on', async () => {
  const before = layers()
  await lab.ok('destroy', 'twin', '--yes')
  write('3', 'web')
  const {stdout} = await lab.ok('prune')
  expect(stdout).toMatch(/removed/)
  expect(layers().length).toBeLessThan(before.length)
  await lab.ok('restart', 'web')
  expect(await lab.guest('web', 'cat runs')).toBe('one\ntwo\n3')
})

step('a command that is killed while a layer is made leaves the guest its disk, and no half layer', async () => {
  const passed = readFileSync(acts, 'utf8').trim().split('\n')
  const numberOf = (what: RegExp): string => passed.find((line) => what.test(line))?.split(' ')[0] ?? 'none'
  for (const [word, what] of [
    ['five', /after link .*layer-/],
    ['six', /after qmp transaction/],
  ] as const) {
    write(word, 'web')
    const killed = await lab.run(['reload', '--yes'], {env: {VMCTL_KILL_AT: numberOf(what)}})
    expect(killed.signal, word).toBe('SIGKILL')
    const records = layers().filter((name) => name.endsWith('.json')).length
    await lab.ok('up')
    expect(await lab.guest('web', 'cat runs'), word).toBe(`one\ntwo\n${word}`)
    expect(
      layers().filter((name) => name.endsWith('.json')),
      word,
    ).toHaveLength(records)
  }
  // From the disk, whatever was left of it.
  await lab.ok('prune')
  await lab.ok('restart', 'web')
  expect(await lab.guest('web', 'cat runs')).toBe('one\ntwo\nsix')
  await lab.ok('down', '--destroy', '--yes')
  await lab.ok('prune')
  expect(layers()).toEqual([])
})
