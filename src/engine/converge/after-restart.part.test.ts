import {chmodSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {beforeEach, describe, expect, test} from 'vitest'

import type {ProvisionStep} from '../../model/steps.ts'
import {readJournal} from '../../provision/run/journal.ts'
import {converge, type ConvergeOptions, planOne} from './converge.ts'
import type {Engine} from '../engine.ts'
import {stop, restart} from '../vm/lifecycle.ts'
import {startNoopLab} from '../../../test/support/noop-lab.ts'
import {useShared} from '../../../test/support/shared.ts'
import {sshdMissing} from '../../../test/support/sshd.ts'

const missing = sshdMissing()

/** What is left of the steps of a VM that was started again. */
describe.skipIf(missing)(`after a restart${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
  const lab = useShared(startNoopLab)
  let engine: Engine
  let told: string[]
  beforeEach(async () => {
    told = []
    lab.clear('guest')
    mkdirSync(guest(''))
    mkdirSync(lab.file('tree'), {recursive: true})
    for (const name of ['src', 'tree/a', 'tree/b']) writeFileSync(lab.file(name), name)
    engine = await lab.openEngine({
      onEvent: (event) => {
        if (event.type === 'provision.step') told.push(`${event.step} runs`)
        if (event.type === 'provision.intact') told.push(`${event.step} is there`)
      },
    })
  })

  const guest = (name: string): string => lab.file(join('guest', name))
  const file = (source: string, change: Record<string, unknown> = {}): ProvisionStep => ({
    type: 'file',
    settings: {source: lab.file(source), destination: guest(source), ...change},
  })
  const count = (): ProvisionStep => ({
    type: 'shell',
    settings: {inline: `echo ran >> ${guest('count')}`, args: [], env: {}, privileged: false},
  })
  const options = (provision: readonly ProvisionStep[]): ConvergeOptions => ({
    vmfile: lab.vmfile(lab.vm('web', {provision})),
    verb: 'up',
    provision: true,
  })
  const up = async (...steps: readonly ProvisionStep[]): Promise<string[]> => {
    await converge(engine, options(steps))
    return told.splice(0)
  }
  const verdicts = async (...steps: readonly ProvisionStep[]): Promise<string[]> =>
    (await planOne(engine, 'web', options(steps))).provision.map(({verdict}) => verdict)
  const runs = (): number => readFileSync(guest('count'), 'utf8').trim().split('\n').length

  test('a file that is gone, or not as it was, is sent again; one that is there is not touched', async () => {
    const steps = [file('src', {mode: 0o640}), file('tree'), count()]
    await up(...steps)
    await stop(engine, 'web')
    rmSync(guest('src'))
    rmSync(guest('tree'), {recursive: true})
    expect(await verdicts(...steps)).toEqual(['check', 'check', 'run'])
    expect(await up(...steps)).toEqual(['1 runs', '2 runs', '3 runs'])
    expect(readFileSync(guest('src'), 'utf8')).toBe('src')
    expect(statSync(guest('src')).mode & 0o777).toBe(0o640)
    expect(readFileSync(guest('tree/b'), 'utf8')).toBe('tree/b')

    await stop(engine, 'web')
    const {ino} = statSync(guest('src'))
    writeFileSync(guest('tree/a'), 'other')
    expect(await up(...steps)).toEqual(['1 is there', '2 runs', '3 runs'])
    expect(statSync(guest('src')).ino).toBe(ino)
    expect(readFileSync(guest('tree/a'), 'utf8')).toBe('tree/a')

    for (const spoil of [() => chmodSync(guest('src'), 0o600), () => writeFileSync(guest('src'), 'more'), () => rmSync(guest('src'))]) {
      await stop(engine, 'web')
      spoil()
      expect(await up(...steps)).toEqual(['1 runs', '2 is there', '3 runs'])
      expect([readFileSync(guest('src'), 'utf8'), statSync(guest('src')).mode & 0o777]).toEqual(['src', 0o640])
    }
    expect(await up(...steps)).toEqual([])
  })

  test('a file of another owner is sent again when an owner is declared', async () => {
    const {uid, gid} = statSync(lab.file('src'))
    for (const [owner, expected] of [
      [`${uid}`, '1 is there'],
      [`:${gid}`, '1 is there'],
    ] as const) {
      const step = file('src', {owner})
      await up(step)
      await stop(engine, 'web')
      expect(await up(step)).toEqual([expected])
    }
  })

  test('a step of run "on-change" is not looked for, and one of run "once" neither', async () => {
    const steps = [{...file('src'), run: 'on-change'} as const, {...file('tree'), run: 'once'} as const]
    await up(...steps)
    await stop(engine, 'web')
    rmSync(guest('src'))
    rmSync(guest('tree'), {recursive: true})
    expect(await verdicts(...steps)).toEqual(['skip', 'skip'])
    expect(await up(...steps)).toEqual([])
    expect(existsSync(guest('src'))).toBe(false)
  })

  test('restart, and an up that comes at the same time: files are looked for, no other step runs a second time', async () => {
    const steps = [file('src'), count()]
    await up(...steps)
    rmSync(guest('src'))
    await restart(engine, 'web')
    expect(await verdicts(...steps)).toEqual(['check', 'skip'])
    expect(await up(...steps)).toEqual(['1 runs'])
    expect(existsSync(guest('src'))).toBe(true)
    await Promise.all([restart(engine, 'web'), up(...steps)])
    await up(...steps)
    expect(runs()).toBe(1)
    expect((await readJournal(join(lab.workspace.stateDirectory, 'vms', 'web'))).restarted).toBeUndefined()
    // Whoever starts the VM with `up` does run it again.
    await stop(engine, 'web')
    await up(...steps)
    expect(runs()).toBe(2)
  })

  test('up that was cut off between start and look still looks', async () => {
    const steps = [file('src'), file('tree')]
    await up(...steps)
    await stop(engine, 'web')
    rmSync(guest('src'))
    rmSync(guest('tree'), {recursive: true})
    writeFileSync(guest('tree'), 'in the way')
    await expect(up(...steps)).rejects.toMatchObject({code: 'vmctl::guest::copy_failed'})
    rmSync(guest('src'))
    rmSync(guest('tree'))
    told = []
    expect(await up(...steps)).toEqual(['1 runs', '2 runs'])
  })
})
