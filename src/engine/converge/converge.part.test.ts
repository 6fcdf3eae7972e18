import {existsSync, rmSync, writeFileSync} from 'node:fs'

import {beforeEach, describe, expect, test} from 'vitest'

import {startNoopLab} from '../../../test/support/noop-lab.ts'
import {useShared} from '../../../test/support/shared.ts'
import {sshdMissing} from '../../../test/support/sshd.ts'
import type {Hypervisor} from '../../hypervisor/hypervisor.ts'
import type {VmctlError} from '../../model/errors.ts'
import type {Healthcheck} from '../../model/health.ts'
import type {Dependency} from '../../model/order.ts'
import type {VmSpec} from '../../model/vm.ts'
import type {Engine} from '../engine.ts'
import {list, status} from '../show/inspect.ts'
import {destroy, restart, start, stop} from '../vm/lifecycle.ts'
import {converge, type ConvergeOptions, planAll} from './converge.ts'

const missing = sshdMissing()

describe.skipIf(missing)(`a stack${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
  const lab = useShared(startNoopLab)
  let engine: Engine
  let told: string[]
  beforeEach(async () => {
    told = []
    lab.clear('up')
    engine = await lab.openEngine({
      onEvent: (event) => {
        if (event.type === 'action.begin' || event.type === 'action.end') told.push(`${event.vm} ${event.action} ${event.type.slice(7)}`)
        if (event.type === 'vm.notice') told.push(`${event.vm} ! ${event.message}`)
        if (event.type === 'vm.failed') told.push(`${event.vm} failed`)
      },
    })
  })

  const check = (change: Partial<Healthcheck> = {}): Healthcheck => ({
    test: {kind: 'shell', line: `test -e ${lab.file('up')} || { echo "it is not up"; exit 7; }`},
    intervalMs: 100,
    timeoutMs: 5000,
    retries: 3,
    startPeriodMs: 0,
    ...change,
  })
  const shell = (inline: string): VmSpec['provision'][number] => ({type: 'shell', settings: {inline, args: [], env: {}, privileged: false}})
  const vm = (name: string, change: Partial<VmSpec> = {}, ...dependsOn: readonly Dependency[]): VmSpec =>
    lab.vm(name, {...(dependsOn.length > 0 && {dependsOn}), ...change})
  const options = (vms: readonly VmSpec[], change: Partial<ConvergeOptions> = {}): ConvergeOptions => ({
    vmfile: lab.vmfile(...vms),
    verb: 'up',
    provision: true,
    ...change,
  })
  const up = (vms: readonly VmSpec[], change: Partial<ConvergeOptions> = {}) => converge(engine, options(vms, change))
  const fails = async (promise: Promise<unknown>): Promise<VmctlError> => {
    try {
      await promise
    } catch (error) {
      return error as VmctlError
    }
    throw new Error('It did not fail.')
  }
  const planned = async (vms: readonly VmSpec[], change: Partial<ConvergeOptions> = {}): Promise<string[]> =>
    (await planAll(engine, options(vms, change))).flatMap(({vm: name, steps, notices}) => [
      ...steps.map(({action, cause}) => `${name} ${action} (${cause})`),
      ...notices.map((notice) => `${name} ! ${notice}`),
    ])
  const starts = (): string[] => told.filter((line) => line.includes(' start begin')).map((line) => line.split(' ')[0] ?? '')

  test('web starts once the health check of db passes, which it does when db has been provisioned', async () => {
    const db = vm('db', {healthcheck: check(), provision: [shell(`touch ${lab.file('up')}`)]})
    const web = vm('web', {}, {vm: 'db', condition: 'healthy'})
    expect(await planned([web, db])).toEqual([
      'db create (does not exist)',
      'db start (new)',
      'db provision (first start)',
      'db check-health (web waits for it)',
      'web create (does not exist)',
      'web start (new; once db is healthy)',
      'web wait (first start)',
    ])
    const results = await up([web, db])
    expect(results.map(({name, state}) => `${name} ${state}`)).toEqual(['web running', 'db running'])
    expect(told.indexOf('db check-health end')).toBeGreaterThan(-1)
    expect(told.indexOf('web create begin')).toBeGreaterThan(told.indexOf('db check-health end'))
    expect(await status(engine, 'db')).toMatchObject({health: 'healthy', healthcheck: {failures: 0, exitCode: 0}})
    expect((await list(engine)).map(({name, health}) => `${name} ${health}`)).toEqual(['db healthy', 'web undefined'])
    told = []
    await up([web, db])
    expect(told).toEqual([])
  })

  test('--no-health: whoever waits for the health of a VM waits for its guest, and the check is not run', async () => {
    const db = vm('db', {healthcheck: check()})
    const web = vm('web', {}, {vm: 'db', condition: 'healthy'})
    const results = await up([web, db], {ignoreHealth: true})
    expect(results.map(({name, state}) => `${name} ${state}`)).toEqual(['web running', 'db running'])
    expect(told.indexOf('web create begin')).toBeGreaterThan(told.indexOf('db wait end'))
    expect(told.filter((line) => line.includes('check-health'))).toEqual([])
  })

  test('a dependency that does not get healthy: the others go on, those that wait are left alone and say why', async () => {
    const stack = [
      vm('db', {healthcheck: check()}),
      vm('api', {}, {vm: 'db', condition: 'healthy'}),
      vm('web', {}, {vm: 'api', condition: 'started'}),
      vm('log', {}, {vm: 'db', condition: 'started'}),
    ]
    const error = await fails(up(stack))
    expect(error).toMatchObject({code: 'vmctl::vms::failed', message: '3 of 4 VMs failed: db, api, web.'})
    expect(error.details.vms).toMatchObject([
      {
        name: 'db',
        state: 'running',
        error: {
          code: 'vmctl::guest::unhealthy',
          message: 'db is not healthy: its health check failed 3 times in a row (exit code 7).\nIt said last:\n  it is not up',
          help: expect.stringContaining('vmctl ssh db'),
        },
      },
      {
        name: 'api',
        state: 'destroyed',
        actions: [],
        error: {code: 'vmctl::vm::dependency_failed', message: expect.stringContaining('db failed')},
      },
      {name: 'web', error: {code: 'vmctl::vm::dependency_failed', message: expect.stringContaining('api was left alone')}},
      {name: 'log', state: 'running'},
    ])
    expect(await status(engine, 'db')).toMatchObject({health: 'unhealthy', healthcheck: {failures: 3, output: 'it is not up'}})
    writeFileSync(lab.file('up'), '')
    told = []
    await up(stack)
    expect(starts()).toEqual(['api', 'web'])
    expect(await status(engine, 'db')).toMatchObject({health: 'healthy'})
  })

  test('a condition of a step of provisioning: provisioned waits for it, ssh and started do not', async () => {
    const mark = lab.file('provisioned')
    const slow = vm('db', {provision: [shell(`while [ ! -e ${mark} ]; do sleep 0.05; done`)]})
    const followers = [
      vm('early', {provision: [shell(`touch ${mark}`)]}, {vm: 'db', condition: 'ssh'}),
      vm('late', {}, {vm: 'db', condition: 'provisioned'}),
    ]
    await up([slow, ...followers], {parallel: 4})
    expect(told.indexOf('early start begin')).toBeLessThan(told.indexOf('db provision end'))
    expect(told.indexOf('late start begin')).toBeGreaterThan(told.indexOf('db provision end'))
    rmSync(mark)
  })

  test('up of one brings what it depends on, --no-deps does not; down stops only what was named and tells of the rest', async () => {
    const stack = [vm('web', {}, {vm: 'api', condition: 'ssh'}), vm('api', {}, {vm: 'db', condition: 'started'}), vm('db'), vm('other')]
    await expect(up(stack, {names: ['nobody']})).rejects.toMatchObject({code: 'vmctl::vm::not_found'})
    expect(await planned(stack, {names: ['web'], noDependencies: true})).toEqual([
      'web create (does not exist)',
      'web start (new)',
      'web wait (first start)',
      'web ! depends on api, which is not running',
    ])
    await up(stack, {names: ['web']})
    expect(starts()).toEqual(['db', 'api', 'web'])
    expect(await planned(stack, {names: ['db'], verb: 'down'})).toEqual([
      'db stop (running)',
      'db ! api, which depends on it, is still running',
    ])
    const [stopped] = await up(stack, {verb: 'down', names: ['db']})
    expect(stopped).toMatchObject({name: 'db', state: 'stopped', notices: ['api, which depends on it, is still running']})
    await up(stack, {names: ['web']})
    told = []
    await up(stack, {verb: 'down'})
    expect(told.filter((line) => line.endsWith('begin'))).toEqual(['web stop begin', 'api stop begin', 'db stop begin'])
  })

  test('a name stands for a service with all of its replicas, or for one of them', async () => {
    const replicas = [0, 1].map((replica) => vm(`shop.web-${replica}`, {project: 'shop', service: 'web', replica}))
    const stack = [...replicas, vm('shop.db', {project: 'shop', service: 'db'})]
    const chosen = async (...names: readonly string[]) => (await planAll(engine, options(stack, {names}))).map((plan) => plan.vm)
    expect(await chosen('web')).toEqual(['shop.web-0', 'shop.web-1'])
    expect(await chosen('web-1', 'shop.web-1')).toEqual(['shop.web-1'])
    expect(await chosen('db-0', 'web')).toEqual(['shop.web-0', 'shop.web-1', 'shop.db'])
    await expect(chosen('shop')).rejects.toMatchObject({code: 'vmctl::vm::not_found'})
  })

  test('a VM that the VMFile no longer has is told of and left alone, whatever is done to the whole file', async () => {
    const [one, two] = [vm('web-1'), vm('web-2')]
    await up([one, two])
    const notice =
      'web-2 ! is no longer in the VMFile and is left as it is, with its disk; `vmctl destroy web-2` or --remove-orphans removes it'
    expect(await planned([one])).toContain(notice)
    for (const verb of ['up', 'reload', 'down'] as const) {
      told = []
      await up([one], {verb})
      expect(told.filter((line) => line.startsWith('web-2'))).toEqual([notice])
    }
    expect((await list(engine)).map(({name, state}) => `${name} ${state}`)).toEqual(['web-1 stopped', 'web-2 running'])
    told = []
    await up([one], {names: ['web-1']})
    await up([one, two])
    expect(told.filter((line) => line.includes('!'))).toEqual([])
  })

  test('a service that gets replicas, or loses them: what has come in its place is told with the orphan', async () => {
    const alone = vm('shop.web', {project: 'shop', service: 'web'})
    const replicas = [0, 1].map((replica) => vm(`shop.web-${replica}`, {project: 'shop', service: 'web', replica}))
    await up([alone])
    told = []
    await up(replicas)
    expect(told).toContain(
      'shop.web ! is no longer in the VMFile, which has shop.web-0 and shop.web-1 instead, and is left as it is, with its disk; `vmctl destroy shop.web` or --remove-orphans removes it',
    )
    await up([alone])
    const plan = (await planAll(engine, options([alone], {removeOrphans: true}))).map(({vm: name, steps}) => [
      name,
      ...steps.map(({action}) => action),
    ])
    expect(plan).toEqual([['shop.web'], ['shop.web-0', 'destroy'], ['shop.web-1', 'destroy']])
  })

  test.each(['up', 'down'] as const)('%s --remove-orphans destroys them and nothing else', async (verb) => {
    const [one, two] = [vm('web-1'), vm('web-2')]
    await up([one, two])
    const results = await up([one], {verb, removeOrphans: true})
    const state = verb === 'up' ? 'running' : 'stopped'
    expect(results.map(({name, state: is}) => `${name} ${is}`)).toEqual(['web-2 destroyed', `web-1 ${state}`])
    expect(results[0]?.actions).toMatchObject([{action: 'destroy', cause: '--remove-orphans, is no longer in the VMFile'}])
    expect((await list(engine)).map(({name, state: is}) => `${name} ${is}`)).toEqual([`web-1 ${state}`])
    await expect(up([one], {verb, removeOrphans: true, names: ['web-1']})).rejects.toMatchObject({code: 'vmctl::usage::invalid'})
  })

  test('nothing is removed for a file that is wrong', async () => {
    const [one, two] = [vm('web-1', {dependsOn: [{vm: 'web-1', condition: 'started'}]}), vm('web-2')]
    await up([two])
    await expect(up([one], {removeOrphans: true})).rejects.toMatchObject({code: 'vmctl::vmfile::validation'})
    expect((await list(engine)).map(({name}) => name)).toEqual(['web-2'])
  })

  test('every stop gives the guest its grace period, unless it is told another one', async () => {
    const stops: string[] = []
    const noop = engine.hypervisors.get('noop')
    if (!noop) throw new Error('There is no noop backend.')
    const recording: Hypervisor = {
      ...noop,
      stop: async (one, given) => {
        stops.push(`${one.name} ${given.timeoutMs}`)
        await noop.stop(one, given)
      },
      destroy: async (one, given) => {
        stops.push(`${one.name} destroyed`)
        await noop.destroy(one, given)
      },
    }
    engine = {...engine, hypervisors: new Map([['noop', recording]])}
    const stack = [vm('web', {stopGraceMs: 5000}), vm('plain')]
    await up(stack)
    await up(stack, {verb: 'down'})
    // The two do not depend on each other, so neither has to be the first.
    expect(stops.splice(0).toSorted()).toEqual(['plain 30000', 'web 5000'])
    await up(stack)
    await stop(engine, 'web')
    await start(engine, 'web')
    await stop(engine, 'web', {timeoutMs: 7})
    expect(stops.splice(0)).toEqual(['web 5000', 'web 7'])
    await up(stack, {verb: 'down', destroy: true})
    expect(stops.toSorted()).toEqual(['plain destroyed', 'web destroyed'])
  })

  test('a guest that is paused for want of room while a step runs, and says nothing, ends the wait with the reason', async () => {
    const noop = engine.hypervisors.get('noop')
    if (!noop) throw new Error('There is no noop backend.')
    const begun = lab.file('begun')
    const full: Hypervisor = {
      ...noop,
      observe: async (one) => (existsSync(begun) ? {state: 'suspended', pause: 'the host has no room left'} : noop.observe(one)),
    }
    engine = {...engine, hypervisors: new Map([['noop', full]])}
    const error = await fails(up([vm('full', {provision: [shell(`sleep 2; touch ${begun}; sleep 12`)]})]))
    expect(error).toMatchObject({code: 'vmctl::vm::paused', message: expect.stringContaining('the host has no room left')})
  })

  test('a guest that had to be forced off stands in the result of every verb that stops it', async () => {
    const noop = engine.hypervisors.get('noop')
    if (!noop) throw new Error('There is no noop backend.')
    const why = 'it did not power off within 1 s'
    const stubborn: Hypervisor = {
      ...noop,
      stop: async (one, given) => {
        if (one.name === 'stubborn') given.onForced?.(why)
        await noop.stop(one, given)
      },
    }
    engine = {...engine, hypervisors: new Map([['noop', stubborn]])}
    const share = {source: lab.workspace.directory, isFile: false, target: '/data', automount: false, driver: '9p', options: []} as const
    // Writers, which power off before they are destroyed.
    const stack = ['stubborn', 'docile'].map((name) => lab.vm(name, {shares: [{...share, readOnly: false}]}))
    const forced = (results: readonly {readonly forced?: string}[]) => results.map((result) => ('forced' in result ? result.forced : 'no'))
    expect(forced(await up(stack, {provision: false}))).toEqual(['no', 'no'])
    expect(forced(await up(stack, {verb: 'down'}))).toEqual([why, 'no'])
    expect(told.filter((line) => /^(stubborn|docile) ! /.test(line))).toEqual([`stubborn ! was forced off: ${why}`])
    await up(stack, {provision: false})
    expect(forced(await up(stack, {verb: 'reload', provision: false}))).toEqual([why, 'no'])
    for (const name of ['stubborn', 'docile']) {
      const expected = name === 'stubborn' ? {name, forced: why} : {name}
      expect(await restart(engine, name)).toEqual({id: expect.any(String), state: 'running', ...expected})
      expect(await stop(engine, name)).toEqual({id: expect.any(String), state: 'stopped', ...expected})
      await start(engine, name)
      expect(await destroy(engine, name)).toEqual(expected)
    }
    await up(stack, {provision: false})
    expect(forced(await up(stack.slice(1), {verb: 'down', removeOrphans: true}))).toEqual([why, 'no'])
  })

  test('a guest that writes to a folder of the host powers off before its VM is removed', async () => {
    const stops: string[] = []
    const noop = engine.hypervisors.get('noop')
    if (!noop) throw new Error('There is no noop backend.')
    const recording: Hypervisor = {
      ...noop,
      stop: async (one, given) => (stops.push(`${one.name} ${given.timeoutMs}`), await noop.stop(one, given)),
    }
    engine = {...engine, hypervisors: new Map([['noop', recording]])}
    const share = {source: lab.workspace.directory, isFile: false, target: '/data', automount: false, driver: '9p', options: []} as const
    const stack = [
      vm('writer', {stopGraceMs: 9000, shares: [{...share, readOnly: false}]}),
      vm('reader', {shares: [{...share, readOnly: true}]}),
    ]
    await up(stack, {provision: false})
    await up(stack, {verb: 'reload', provision: false})
    expect(stops).toEqual(['writer 9000'])
    await up(stack, {verb: 'down', destroy: true})
    expect(stops).toEqual(['writer 9000', 'writer 9000'])
  })

  test('a circle fails before anything is done', async () => {
    const stack = [vm('a', {}, {vm: 'b', condition: 'started'}), vm('b', {}, {vm: 'a', condition: 'started'})]
    await expect(up(stack)).rejects.toMatchObject({code: 'vmctl::vmfile::validation', message: expect.stringContaining('a → b → a')})
    expect(told).toEqual([])
  })

  test('one that cannot even be looked at fails by itself', async () => {
    const stack = [
      vm('web', {}, {vm: 'db', condition: 'started'}),
      vm('db', {provision: [{type: 'shell', settings: {script: lab.file('no-such-script'), args: [], env: {}, privileged: false}}]}),
      vm('other'),
    ]
    expect(await fails(up(stack))).toMatchObject({message: '2 of 3 VMs failed: web, db.'})
    expect(starts()).toEqual(['other'])
  })
})
