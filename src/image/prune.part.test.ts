import {linkSync, readdirSync, statSync, utimesSync, writeFileSync} from 'node:fs'
import {basename, join} from 'node:path'

import {describe, expect, test} from 'vitest'

import {useImageLab} from '../../test/support/image-lab.ts'
import {makeRawDisk} from '../../test/support/images.ts'
import type {BaseImage} from '../model/vm.ts'
import {ensureImage, listImages} from './index.ts'
import {planPrune, type PrunePlan, type PruneRules, pruneImages} from './prune.ts'
import type {ImageUse} from './uses.ts'

const lab = useImageLab()
const dayMs = 86_400_000

const pull = (path: string, seed: number, fresh = false): Promise<BaseImage> =>
  ensureImage(
    lab.scratch.store,
    {kind: 'url', source: lab.serve(path, makeRawDisk(256 * 1024, seed))},
    {signal: AbortSignal.timeout(20_000), fresh},
  )

/** Lets some days pass over an image of the cache. */
const age = (image: BaseImage, days: number): void => {
  const refs = join(lab.scratch.store.directory, 'refs')
  const [name = ''] = readdirSync(refs).filter((one) => one.includes(image.sha256?.slice(0, 16) ?? '-'))
  const then = new Date(Date.now() - days * dayMs)
  utimesSync(join(refs, name), then, then)
}

const prune = (rules: PruneRules = {}, uses: readonly ImageUse[] = []): Promise<PrunePlan> =>
  pruneImages(lab.scratch.store, {rules, uses: async () => uses})

const left = async (): Promise<string[]> => (await listImages(lab.scratch.store)).map(({name}) => name)
const gone = ({remove}: PrunePlan): string[] => remove.map(({names}) => names.join(' '))
const allocated = (path: string): number => statSync(path).blocks * 512

describe('which images go', () => {
  test('without a rule all that nothing uses, and a plan removes nothing', async () => {
    const [one, two] = [await pull('/one.raw', 1), await pull('/two.raw', 2)]
    const uses: readonly ImageUse[] = [{kind: 'vm', name: 'web', path: two.path}]
    const plan = await planPrune(lab.scratch.store, {rules: {}, uses: async () => uses})
    expect(plan).toMatchObject({freedBytes: allocated(one.path), keptBytes: allocated(two.path)})
    expect(gone(plan)).toEqual(['one.raw'])
    expect(await left()).toEqual(['one.raw', 'two.raw'])
    expect(await prune({}, uses)).toEqual(plan)
    expect(await left()).toEqual(['two.raw'])
    expect(lab.cachedDisks()).toEqual([basename(two.path)])
  })

  test('none that is used by its path in a state directory that was moved', async () => {
    const {path} = await pull('/one.raw', 1)
    expect(gone(await prune({}, [{kind: 'vm', name: 'web', path: `/elsewhere/${basename(path)}`}]))).toEqual([])
  })

  test('those that were not used for some time', async () => {
    const old = await pull('/old.raw', 1)
    await pull('/new.raw', 2)
    age(old, 31)
    expect(gone(await prune({olderThanMs: 30 * dayMs}))).toEqual(['old.raw'])
    expect(gone(await prune({olderThanMs: 30 * dayMs}))).toEqual([])
  })

  test('the newest builds of each place stay, so many', async () => {
    for (const seed of [1, 2, 3]) await pull('/latest.raw', seed, true)
    await pull('/other.raw', 9)
    expect(await left()).toHaveLength(4)
    expect((await prune({keepBuilds: 2})).remove).toHaveLength(1)
    expect((await prune({keepBuilds: 1})).remove).toHaveLength(1)
    expect(await left()).toEqual(['latest.raw', 'other.raw'])
  })

  test('as many as a quota asks for, those first that were used least recently', async () => {
    const images = [await pull('/a.raw', 1), await pull('/b.raw', 2), await pull('/c.raw', 3), await pull('/d.raw', 4)]
    for (const [index, days] of [4, 9, 1, 7].entries()) age(images[index] as BaseImage, days)
    const each = allocated(images[0]?.path ?? '')
    const uses: readonly ImageUse[] = [{kind: 'vm', name: 'web', path: images[1]?.path ?? ''}]
    const plan = await prune({maxBytes: 2 * each}, uses)
    expect(gone(plan)).toEqual(['d.raw', 'a.raw'])
    expect(plan).toMatchObject({keptBytes: 2 * each, freedBytes: 2 * each})
    expect(await prune({maxBytes: 0}, uses)).toMatchObject({keptBytes: each})
    expect(await left()).toEqual(['b.raw'])
  })

  test('an image with several names goes once, and one with another name on the disk frees nothing', async () => {
    const image = await pull('/one.raw', 1)
    await pull('/same.raw', 1)
    linkSync(image.path, join(lab.scratch.path, 'elsewhere'))
    const plan = await prune()
    expect(plan.remove).toMatchObject([{names: ['one.raw', 'same.raw'], freedBytes: 0}])
    expect(await left()).toEqual([])
  })

  test('what is damaged: a disk without an entry, an index file that cannot be read', async () => {
    const image = await pull('/one.raw', 1)
    const refs = join(lab.scratch.store.directory, 'refs')
    writeFileSync(join(refs, readdirSync(refs)[0] ?? ''), '{')
    expect(gone(await prune({}, [{kind: 'vm', name: 'web', path: image.path}]))).toEqual([expect.stringMatching(/\.json$/)])
    expect(gone(await prune())).toEqual([basename(image.path)])
    expect([readdirSync(refs), lab.cachedDisks()]).toEqual([[], []])
  })
})

test('nothing that was not in the plan goes', async () => {
  await pull('/one.raw', 1)
  const {remove} = await planPrune(lab.scratch.store, {rules: {}, uses: async () => []})
  await pull('/two.raw', 2)
  await pruneImages(lab.scratch.store, {rules: {}, uses: async () => [], agreed: new Set(remove.map(({path}) => path))})
  expect(await left()).toEqual(['two.raw'])
})

describe('downloads', () => {
  const partials = (): string[] => readdirSync(join(lab.scratch.store.directory, 'partial'))

  test('that were cut go after a day, or after less if that is wanted', async () => {
    const url = lab.serve('/one.raw', makeRawDisk(256 * 1024), {
      cutAfter: Array.from({length: 30}, (_, index) => (index === 0 ? 100_000 : 0)),
    })
    await expect(ensureImage(lab.scratch.store, {kind: 'url', source: url}, {signal: AbortSignal.timeout(20_000)})).rejects.toThrow()
    expect(partials()).toHaveLength(2)
    expect((await prune()).remove).toEqual([])
    for (const name of partials()) {
      const then = new Date(Date.now() - 2 * dayMs)
      utimesSync(join(lab.scratch.store.directory, 'partial', name), then, then)
    }
    expect((await prune({olderThanMs: 3 * dayMs})).remove).toEqual([])
    expect((await prune()).remove).toMatchObject([{kind: 'partial', freedBytes: expect.any(Number) as number}])
    expect(partials()).toEqual([])
  })

  test('that go on stay, and so does what they would replace', async () => {
    const image = await pull('/one.raw', 1)
    const url = lab.serve('/one.raw', makeRawDisk(256 * 1024, 2), {stallsAfter: 100_000})
    const controller = new AbortController()
    const running = ensureImage(lab.scratch.store, {kind: 'url', source: url}, {signal: controller.signal, fresh: true})
    const received = (): number =>
      Math.max(0, ...partials().map((name) => statSync(join(lab.scratch.store.directory, 'partial', name)).size))
    while (received() < 100_000) await new Promise((done) => setTimeout(done, 5))
    expect((await prune({olderThanMs: 0})).remove).toEqual([])
    expect(lab.cachedDisks()).toEqual([basename(image.path)])
    controller.abort()
    await expect(running).rejects.toThrow()
    expect((await prune({olderThanMs: 0})).remove).toHaveLength(2)
    expect([partials(), lab.cachedDisks()]).toEqual([[], []])
  })
})
