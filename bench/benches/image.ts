import {open, readFile, rm} from 'node:fs/promises'
import {join} from 'node:path'

import {inTurn, memory, timesAsFast} from '../lib/measure.ts'
import {missing, run} from '../lib/process.ts'
import type {Row, Skipped} from '../lib/report.ts'
import {work} from '../lib/work.ts'
import {type Workspace, writeVmfile} from '../lib/workspace.ts'

const gib = 2 ** 30

/** A compressed image of 1 GiB, one third of it data, into the cache: hashed as published, sparse, audited, durable. */
export const image = async (workspace: Workspace): Promise<(Row | Skipped)[]> => {
  const lack = await missing('zstd', 'qemu-img')
  if (lack !== undefined) return [{what: '.zst image into the cache', skipped: lack}]
  const rows: Row[] = []
  for (const where of ['memory', 'disk'] as const) {
    const directory = await workspace.directory('image', where)
    const compressed = await makeImage(directory)
    const ours = async (): Promise<number> => {
      const state = join(directory, 'state')
      const ms = await work(workspace, 'image', {state, source: compressed})
      await rm(state, {recursive: true})
      return ms
    }
    const plain = async (): Promise<number> => {
      const output = join(directory, 'plain.raw')
      // vmctl does not call an image its own before it is on the disk.
      const {ms} = await run('sh', ['-c', `zstd -q -d "$0" -o "$1" ${where === 'disk' ? '&& sync "$1"' : ''}`, compressed, output])
      await rm(output)
      return ms
    }
    const samples = await inTurn({count: 3}, ours, plain)
    const what = where === 'memory' ? '.zst image of 1 GiB into the cache (files in memory)' : 'the same on disk'
    rows.push(
      timesAsFast({
        what,
        referenceName: where === 'memory' ? 'zstd -d' : 'zstd -d; sync',
        samples,
        ...(where === 'memory' && {goal: {atLeast: 0.9}}),
      }),
    )
    if (where === 'memory') rows.push(memory('its peak memory, vmctl up', await peaks(workspace, directory, compressed), {atMost: 150}))
    await rm(directory, {recursive: true})
  }
  return rows
}

/** Machine code is what disks are full of: three copies of Node itself, with holes between them. */
export const makeImage = async (directory: string, form: 'packed' | 'raw' = 'packed'): Promise<string> => {
  const raw = join(directory, 'disk.raw')
  const code = await readFile(process.execPath)
  const file = await open(raw, 'wx')
  await file.truncate(gib)
  for (const third of [0, 1, 2]) await file.write(code.subarray(0, gib / 3), 0, undefined, Math.floor((third * gib) / 3 / 4096) * 4096)
  await file.write(Buffer.from([0x55, 0xaa]), 0, undefined, 510)
  await file.close()
  if (form === 'raw') return raw
  await run('zstd', ['-q', '--rm', raw])
  return `${raw}.zst`
}

const peaks = async (workspace: Workspace, directory: string, compressed: string): Promise<number[]> => {
  const vmfile = await writeVmfile(directory, `vm "big" {\n  image "${compressed}" format="raw"\n}\n`)
  const seen: number[] = []
  for (let round = 0; round < 2; round++) {
    const state = join(directory, 'state')
    const {peakMiB} = await workspace.vmctl(['up', '--file', vmfile, '--state-dir', state], {env: {VMCTL_BACKEND: 'noop'}})
    seen.push(peakMiB)
    await rm(state, {recursive: true})
  }
  return seen
}
