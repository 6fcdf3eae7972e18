import {existsSync} from 'node:fs'

import {expect} from 'vitest'

import type {VmResult} from '../../src/engine/converge/result.ts'
import type {PsRow} from '../../src/engine/show/ps.ts'
import type {VmPlan} from '../../src/engine/plan/vm-plan.ts'
import {eventually, leftovers, microVm} from '../support/vm-guests.ts'
import {scenario} from '../support/vm-scenario.ts'

/** Two VMs of which one waits for the health of the other: up, a kill in the middle of the waiting, up again, ps, down. */
const {lab, step} = scenario('order')

const vmfile = (memory = 192): void => {
  const check = 'healthcheck { test "test -e /tmp/ready || { echo not ready yet; exit 1; }"; interval "1s"; retries 900; }'
  lab.vmfile(microVm('web', 'depends-on "db"') + microVm('db', check, {memory}))
}

const pids = async (): Promise<readonly (number | undefined)[]> =>
  Promise.all(['db', 'web'].map(async (name) => (await lab.status(name)).pid))

let dbPid: number | undefined

step(
  'up starts db, and web not before db is healthy; killed while it waits, it leaves a stack that one more up completes',
  async () => {
    vmfile()
    expect((await lab.json<{vms: VmPlan[]}>('plan')).vms.map(({vm, after}) => [vm, after])).toEqual([
      ['db', []],
      ['web', [{vm: 'db', condition: 'healthy'}]],
    ])
    const running = lab.start(['up'])
    await eventually(() => expect(lab.read('db', 'health.json')).toContain('not ready yet'), {timeoutMs: 240_000})
    expect(existsSync(lab.directory('web'))).toBe(false)
    const [row] = (await lab.json<{vms: PsRow[]}>('ps', 'db')).vms
    expect(row).toMatchObject({name: 'db', health: 'starting', output: 'not ready yet'})
    running.kill()
    await running.outcome
    ;[dbPid] = [(await lab.status('db')).pid]
    await lab.guest('db', 'touch /tmp/ready')
    const {vms} = await lab.json<{vms: VmResult[]}>('up')
    expect(vms.map(({name, state, actions}) => [name, state, actions.map(({action}) => action)])).toEqual([
      ['web', 'running', ['create', 'start', 'wait']],
      ['db', 'running', ['check-health']],
    ])
    expect((await lab.status('db')).pid).toBe(dbPid)
    expect(leftovers(lab)).toEqual([])
  },
  400_000,
)

step('an up of a stack that runs does nothing, and an edit of db touches nobody else', async () => {
  const before = await pids()
  const {vms} = await lab.json<{vms: VmResult[]}>('up')
  expect(vms.flatMap(({actions}) => actions)).toEqual([])
  expect((await lab.json<{vms: PsRow[]}>('ps', '--wait')).vms.map(({name, health}) => [name, health])).toEqual([
    ['web', undefined],
    ['db', 'healthy'],
  ])
  vmfile(224)
  expect((await lab.ok('plan')).stdout).toMatch(/^web +none +is already running$/m)
  expect(await pids()).toEqual(before)
})

step('down of db tells that web goes on; down stops web first', async () => {
  expect((await lab.ok('plan', '--for', 'down', 'db')).stdout).toMatch(/^db +note +web, which depends on it, is still running$/m)
  const {vms} = await lab.json<{vms: VmResult[]}>('down')
  expect(vms.map(({name, state, actions}) => [name, state, actions.map(({cause}) => cause)])).toEqual([
    ['web', 'stopped', ['running']],
    ['db', 'stopped', ['running; after web, which depends on it']],
  ])
})
