import {spawn} from 'node:child_process'
import {readdirSync, readFileSync, statSync} from 'node:fs'
import {dirname, join, resolve} from 'node:path'
import {fileURLToPath} from 'node:url'

import {describe, expect, it} from 'vitest'

import {useImageLab} from '../../test/support/image-lab.ts'
import {digestOf, makeRawDisk, through} from '../../test/support/images.ts'
import {ensureImage} from './index.ts'

const disk = makeRawDisk(300_000)
const lab = useImageLab()

const ensure = async (source: string) => ensureImage(lab.scratch.store, {kind: 'url', source}, {signal: new AbortController().signal})

describe('many processes', () => {
  const program = resolve(dirname(fileURLToPath(import.meta.url)), '../../test/support/pull-image.ts')
  const pull = (source: string) => {
    const child = spawn(process.execPath, ['--no-warnings', program, lab.scratch.path, source], {stdio: ['ignore', 'pipe', 'pipe']})
    let output = ''
    child.stdout.on('data', (data) => (output += String(data)))
    return {child, ended: new Promise<{code: number | null; output: string}>((done) => child.on('close', (code) => done({code, output})))}
  }

  it('that want one image make one download', async () => {
    const packed = through(disk, 'zstd')
    const source = lab.serve('/disk.raw.zst', packed, {delayMs: 300})
    const children = Array.from({length: 4}, () => pull(source).ended)
    const here = Array.from({length: 28}, async () => ensure(source))
    const path = join(lab.scratch.store.directory, `sha256-${digestOf(packed)}-disk.raw`)
    expect(await Promise.all(children)).toEqual(children.map(() => ({code: 0, output: path})))
    expect((await Promise.all(here)).every((image) => image.path === path)).toBe(true)
    expect(lab.server.requests).toHaveLength(1)
  })

  it('may be killed in mid-download; the next one goes on', async () => {
    const large = makeRawDisk(600_000)
    const source = lab.serve('/disk.raw', large, {stallsAfter: 200_000})
    const {child, ended} = pull(source)
    while (lab.server.requests.length === 0) await new Promise((done) => setTimeout(done, 10))
    const directory = join(lab.scratch.store.directory, 'partial')
    const received = (): number =>
      Math.max(0, ...readdirSync(directory).map((name) => statSync(join(directory, name), {throwIfNoEntry: false})?.size ?? 0))
    while (received() < 200_000) await new Promise((done) => setTimeout(done, 10))
    child.kill('SIGKILL')
    await ended
    expect(readdirSync(lab.scratch.store.directory).filter((name) => name.startsWith('sha256-'))).toEqual([])
    lab.serve('/disk.raw', large)
    expect(readFileSync((await ensure(source)).path).equals(large)).toBe(true)
    expect(lab.server.requests[1]).toMatchObject({headers: {range: 'bytes=200000-'}, sentBytes: 400_000})
  })
})
