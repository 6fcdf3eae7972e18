import {existsSync, mkdirSync, readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'

import {beforeEach, describe, expect, test} from 'vitest'

import {startNoopLab} from '../../../test/support/noop-lab.ts'
import {useShared} from '../../../test/support/shared.ts'
import {sshdMissing} from '../../../test/support/sshd.ts'
import type {ProvisionStep, RunMode} from '../../model/steps.ts'
import type {VmSpec} from '../../model/vm.ts'
import {readJournal} from '../../provision/run/journal.ts'
import {listLayers} from '../../store/layers.ts'
import {readVm} from '../../store/store.ts'
import {converge, type ConvergeOptions, planAll, planOne} from '../converge/converge.ts'
import type {Engine} from '../engine.ts'
import {prunableLayers, pruneLayers} from '../manage/prune-layers.ts'
import {destroy} from './lifecycle.ts'

const missing = sshdMissing()

describe.skipIf(missing)(`layers of provision steps${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
  const lab = useShared(startNoopLab)
  let engine: Engine
  let told: string[]
  beforeEach(async () => {
    told = []
    lab.clear('guest', 'state/layers')
    mkdirSync(lab.file('guest'))
    engine = await lab.openEngine({
      onEvent: (event) => {
        if (event.type === 'provision.step') told.push(`${event.step} runs`)
        if (event.type === 'layer.kept') told.push(`${event.step} kept`)
        if (event.type === 'vm.notice' && event.message.startsWith('no layer')) told.push(event.message)
      },
    })
  })

  interface Said {
    readonly run?: RunMode | 'unsaid'
    readonly cache?: boolean | 'unsaid'
    readonly secretEnv?: Readonly<Record<string, string>>
  }
  /** Quick steps are kept because they ask for it. */
  const step = (word: string, {run: mode = 'on-change', cache = true, ...secrets}: Said = {}): ProvisionStep => ({
    type: 'shell',
    ...(mode !== 'unsaid' && {run: mode}),
    ...(cache !== 'unsaid' && {cache}),
    settings: {inline: `echo ${word} >> ${lab.file('guest/runs')}`, args: [], env: {}, privileged: false, ...secrets},
  })
  const options = (verb: 'up' | 'reload', provision: readonly ProvisionStep[], change: Partial<VmSpec> = {}): ConvergeOptions => ({
    vmfile: lab.vmfile(lab.vm('web', {provision, ...change})),
    verb,
    provision: true,
  })
  const run = async (verb: 'up' | 'reload', provision: readonly ProvisionStep[], change: Partial<VmSpec> = {}): Promise<string[]> => {
    await converge(engine, options(verb, provision, change))
    return told.splice(0)
  }
  const layers = async (): Promise<string[]> => (await listLayers(engine.store)).map(({id}) => id)
  const three = (last = 'three'): ProvisionStep[] => [step('one'), step('two'), step(last)]

  test('a reload runs the steps that changed and those after them, and says where the others come from', async () => {
    expect(await run('up', three())).toEqual(['1 runs', '1 kept', '2 runs', '2 kept', '3 runs', '3 kept'])
    const before = await readVm(engine.store, 'web')
    const [plan] = await planAll(engine, options('reload', three('3')))
    expect(plan?.steps[0]).toMatchObject({
      action: 'recreate',
      cause: expect.stringMatching(/^asked for, running; starts from the layer after step 2 \(\d+\.\d KB\)$/),
    })
    expect(await run('reload', three('3'))).toEqual(['3 runs', '3 kept'])
    const after = await readVm(engine.store, 'web')
    expect(after?.id).not.toBe(before?.id)
    expect(after?.identity).toBe(before?.id)
    const id = after?.layer?.id
    const {steps} = await readJournal(engine.store.vmsDirectory + '/web')
    expect(steps.map(({state, layer}) => [state, layer])).toEqual([
      ['done', id],
      ['done', id],
      ['done', undefined],
    ])
    expect((await planOne(engine, 'web', options('up', three('3')))).provision.map(({cause}) => cause)).toEqual([
      `from layer ${id}, unchanged`,
      `from layer ${id}, unchanged`,
      'done, unchanged',
    ])
    expect(readFileSync(lab.file('guest/runs'), 'utf8')).toBe('one\ntwo\nthree\n3\n')
    // Back to what it was: nothing is left to be done.
    expect(await run('reload', three())).toEqual([])
    expect(await run('reload', [step('zero'), ...three()])).toEqual([
      '1 runs',
      '1 kept',
      '2 runs',
      '2 kept',
      '3 runs',
      '3 kept',
      '4 runs',
      '4 kept',
    ])
  })

  test('with --no-cache every step runs on the image, and what is kept takes the place of what was', async () => {
    await run('up', three())
    const old = await layers()
    await converge(engine, {...options('reload', three()), layers: false})
    expect(told.splice(0)).toEqual(['1 runs', '1 kept', '2 runs', '2 kept', '3 runs', '3 kept'])
    expect((await readVm(engine.store, 'web'))?.layer).toBeUndefined()
    // Nothing stands on the old ones any more.
    expect((await layers()).filter((id) => old.includes(id))).toEqual([])
    engine = await lab.openEngine({env: {...engine.env, VMCTL_LAYERS: 'off'}})
    const [plan] = await planAll(engine, options('reload', three()))
    expect(plan?.steps[0]?.cause).toBe('asked for, running')
  })

  test.each([
    ['says `run "always"`', {run: 'always', cache: 'unsaid'}],
    ['says `cache #false`', {cache: false}],
    ['has secrets', {cache: 'unsaid', secretEnv: {TOKEN: 'x'}}],
  ] as const)('a step that %s ends them', async (_what, change) => {
    const steps = [step('one'), step('two', change), step('three')]
    expect(await run('up', steps)).toEqual(['1 runs', '1 kept', '2 runs', '3 runs'])
    expect(await run('reload', steps)).toEqual(['2 runs', '3 runs'])
  })

  test('one that runs at each start by default runs again on top of the layer', async () => {
    const steps = [step('one'), step('two', {run: 'unsaid', cache: 'unsaid'}), step('three')]
    expect(await run('up', steps)).toEqual(['1 runs', '1 kept', '2 runs', '3 runs', '3 kept'])
    expect(await run('reload', steps)).toEqual(['2 runs'])
  })

  test('quick steps are not worth a layer, and none is kept of a VM with a share that it may write to, unless they ask for it', async () => {
    const quick = [step('one', {cache: 'unsaid'})]
    expect(await run('up', quick)).toEqual(['1 runs'])
    expect(await layers()).toEqual([])
    expect(await run('reload', quick)).toEqual(['1 runs'])
    const slow = {type: 'shell', run: 'on-change', settings: {inline: 'sleep 2.1', args: [], env: {}, privileged: false}} as const
    expect(await run('reload', [slow])).toEqual(['1 runs', '1 kept'])
    const shared = {shares: [{source: lab.file('guest'), target: '/srv', readOnly: false, driver: 'auto'}]} as unknown as Partial<VmSpec>
    const [plan] = await planAll(engine, options('reload', [slow], shared))
    expect(plan?.steps[0]?.cause).toBe('asked for, running')
    expect(plan?.notices).toContain(
      'its steps are kept in no layer, because the VM has a share that it may write to, of which no layer is made; `cache #true` on a step keeps it all the same',
    )
  })

  test('what is different from the beginning has layers of its own', async () => {
    await run('up', three())
    const [plan] = await planAll(engine, options('reload', three(), {diskBytes: 2 ** 30}))
    expect(plan?.steps[0]?.cause).toBe('asked for, running')
    expect(await run('reload', three(), {vcpus: 2})).toEqual([])
  })

  test('a layer on which a disk stands stays, and goes after the last one', async () => {
    await run('up', three())
    await run('reload', three())
    const used = (await readVm(engine.store, 'web'))?.layer?.id
    expect((await prunableLayers(engine, {})).remove).toEqual([])
    expect(await layers()).toHaveLength(3)
    await run('reload', three('3'))
    // The one after the third step of before, and the record of the one that the VM has made itself stays.
    const {remove} = await pruneLayers(engine, {})
    expect(remove.map(({id}) => id)).toEqual([used])
    await destroy(engine, 'web')
    // Without a seed a VM that is new cannot become another machine.
    expect((await planAll(engine, options('up', three())))[0]?.steps[0]?.cause).toBe('does not exist')
    expect((await pruneLayers(engine, {mostBytes: 2 ** 30})).remove).toEqual([])
    expect((await pruneLayers(engine, {unusedMs: 60_000})).remove).toEqual([])
    expect((await pruneLayers(engine, {})).remove.map(({step: number}) => number)).toEqual([3, 2, 1])
    expect(readdirSync(join(engine.store.directory, 'layers'))).toEqual([])
  })

  test('an image on which layers stand is not pruned, and one that is gone makes them none', async () => {
    await run('up', three())
    expect(existsSync(lab.workspace.image)).toBe(true)
    const {imageUses} = await import('../manage/image-uses.ts')
    expect((await imageUses(engine)).filter(({kind}) => kind === 'layer').map(({path}) => path)).toEqual(
      Array.from({length: 3}, () => lab.workspace.image),
    )
  })
})
