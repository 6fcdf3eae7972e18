import {cpSync, existsSync, readdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join, resolve} from 'node:path'

import {expect, test} from 'vitest'

import {temporaryDirectory} from '../../../test/support/builders.ts'
import {fakeServer} from '../../../test/support/sshd.ts'
import {readGuest} from '../../guest/record.ts'
import {seal, unseal} from '../../host/sealed.ts'
import {readJournal} from '../../provision/run/journal.ts'
import {openEngine} from '../engine.ts'
import {readVmfile} from '../load.ts'
import {status} from '../show/inspect.ts'
import {openPs} from '../show/ps.ts'
import {converge, planAll} from './converge.ts'
import {stop} from '../vm/lifecycle.ts'

/** A project and its state directory, as version 0.1 left them. */
const projectOf01 = (): string => {
  const directory = temporaryDirectory()
  cpSync(resolve(import.meta.dirname, '../../../fixtures/state-0.1'), directory, {recursive: true})
  writeFileSync(join(directory, 'base.qcow2'), '')
  for (const name of readdirSync(join(directory, 'vms'))) {
    const path = join(directory, 'vms', name, 'vm.json')
    writeFileSync(path, seal(JSON.parse(JSON.stringify(unseal(readFileSync(path, 'utf8'))).replaceAll('/srv/shop', directory))))
  }
  return directory
}

const contentOf = (directory: string): ReadonlyMap<string, string> =>
  new Map(
    readdirSync(join(directory, 'vms'), {recursive: true, encoding: 'utf8'})
      .filter((name) => name.endsWith('.json'))
      .map((name) => [name, readFileSync(join(directory, 'vms', name), 'utf8')]),
  )

test('a state directory that version 0.1 wrote means what it says, and is carried over by the first verb that writes', async () => {
  const directory = projectOf01()
  await using greeter = await fakeServer((socket) => socket.end('SSH-2.0-OpenSSH_10.0\r\n'))
  const engine = await openEngine({
    stateDirectory: directory,
    backend: 'noop',
    env: {HOME: directory, VMCTL_NOOP_SSH: `127.0.0.1:${greeter.port}`},
  })
  const vmfile = await readVmfile(engine, join(directory, 'VMFile.kdl'))
  const before = contentOf(directory)
  const planned = async () =>
    (await planAll(engine, {vmfile, verb: 'up', provision: true})).map(
      ({vm, steps, notices}) => `${vm}: ${[...steps.map(({action, cause}) => `${action} (${cause})`), ...notices].join(', ')}`,
    )

  expect(await status(engine, 'web')).toMatchObject({
    state: 'running',
    provision: [
      {title: 'inline: true', state: 'done', exitCode: 0, user: 'root'},
      {title: 'script: setup.sh', state: 'done', exitCode: 0},
    ],
  })
  using ps = openPs(engine, {vmfile})
  expect((await ps.look()).map(({name, state, readiness}) => `${name} ${state} ${readiness}`)).toEqual([
    'web running ready',
    'db running ready',
    'new running starting',
  ])
  const idle = ['web: is already running', 'db: is already running', 'new: wait (was never seen ready)']
  expect(await planned()).toEqual(idle)
  // Who only looks writes nothing.
  expect(contentOf(directory)).toEqual(before)

  const results = await converge(engine, {vmfile, verb: 'up', provision: true, names: ['web', 'db']})
  expect(results.map(({name, actions}) => [name, actions])).toEqual([
    ['web', []],
    ['db', []],
  ])
  expect(existsSync(join(directory, 'vms/web/guest.json'))).toBe(false)

  for (const name of ['web', 'db']) {
    const vm = join(directory, 'vms', name)
    const [guest, {steps}] = [await readGuest(vm), await readJournal(vm)]
    await stop(engine, name)
    await converge(engine, {vmfile, verb: 'up', provision: false, names: [name]})
    expect(existsSync(join(vm, 'guest.json')), name).toBe(true)
    expect(await readGuest(vm)).toEqual(guest)
    expect(await readJournal(vm)).toEqual({schema: 2, steps, restarted: true})
  }
  expect(await planned()).toEqual(idle)
  expect((await ps.look()).map(({readiness}) => readiness)).toEqual(['ready', 'ready', 'starting'])
})
