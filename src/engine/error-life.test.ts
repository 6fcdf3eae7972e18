import {mkdir, writeFile} from 'node:fs/promises'
import {join} from 'node:path'

import {expect, test} from 'vitest'

import {makeSpec, makeVm, temporaryDirectory} from '../../test/support/builders.ts'
import {noopHypervisor} from '../hypervisor/noop/index.ts'
import {VmctlError} from '../model/errors.ts'
import {openStore, writeVm} from '../store/store.ts'
import {converge} from './converge/converge.ts'
import {openEngine} from './engine.ts'
import type {EngineEvent} from './events.ts'
import {restart, start} from './vm/lifecycle.ts'

/** VMs on a backend that starts none of them; `thrown` is what it said of each. */
const brokenWorld = async (names: readonly string[]) => {
  const root = temporaryDirectory()
  const store = await openStore(join(root, 'state'))
  const thrown = new Map<string, {readonly error: VmctlError; readonly stack: string | undefined}>()
  const failDeepDown = (name: string): never => {
    const error = new VmctlError('vmctl::host::program_failed', 'It does not start.', {help: (vm) => `Look at ${vm}.`})
    thrown.set(name, {error, stack: error.stack})
    throw error
  }
  const broken = {...noopHypervisor(), name: 'broken', start: async ({name}: {readonly name: string}) => failDeepDown(name)}
  const events: EngineEvent[] = []
  const engine = await openEngine({
    stateDirectory: store.directory,
    backend: 'broken',
    extensions: [{hypervisors: [broken]}],
    env: {},
    onEvent: (event) => void events.push(event),
  })
  const image = join(root, 'base.qcow2')
  await writeFile(image, '')
  const specs = names.map((name) => makeSpec({name, image: {kind: 'file', source: image}}))
  for (const spec of specs) {
    const directory = join(store.vmsDirectory, spec.name)
    await mkdir(directory)
    await writeVm(makeVm({name: spec.name, directory, backend: 'broken', spec, vmfile: join(root, 'VMFile.kdl'), phase: 'prepared'}))
  }
  return {
    engine,
    thrown,
    events,
    vmfile: {path: join(root, 'VMFile.kdl'), directory: root, vms: specs, networks: [], volumes: [], warnings: []},
  }
}

const caught = (action: Promise<unknown>): Promise<unknown> =>
  action.then(
    () => undefined,
    (error: unknown) => error,
  )

test.each([
  ['start', start],
  ['restart', restart],
] as const)('what a backend has thrown comes out of %s, with its stack', async (_name, verb) => {
  const {engine, thrown} = await brokenWorld(['web'])
  const error = await caught(verb(engine, 'web'))
  const origin = thrown.get('web')
  expect(error).toBe(origin?.error)
  expect(error).toMatchObject({help: 'Look at web.', details: {vm: 'web'}, stack: origin?.stack})
  expect(origin?.stack).toContain('failDeepDown')
})

test('what a backend has thrown comes out of up, with its stack', async () => {
  const {engine, thrown, vmfile} = await brokenWorld(['web'])
  expect(await caught(converge(engine, {vmfile, verb: 'up', provision: false}))).toBe(thrown.get('web')?.error)
  expect(thrown.get('web')?.error.stack).toBe(thrown.get('web')?.stack)
})

test('of several VMs each has its own error', async () => {
  const {engine, thrown, events, vmfile} = await brokenWorld(['web', 'db'])
  expect(await caught(converge(engine, {vmfile, verb: 'up', provision: false}))).toMatchObject({
    code: 'vmctl::vms::failed',
    exit: 4,
    details: {vms: [{error: {help: 'Look at web.'}}, {error: {help: 'Look at db.'}}]},
  })
  const told = events.flatMap((event) => (event.type === 'vm.failed' ? [event.error] : []))
  expect(new Set(told)).toEqual(new Set([...thrown.values()].map(({error}) => error)))
  for (const {error, stack} of thrown.values()) expect(error.stack).toBe(stack)
})
