import {stat} from 'node:fs/promises'
import {join} from 'node:path'

import {inTurn, timesAsFast, timesAsLarge} from '../lib/measure.ts'
import {missing, run} from '../lib/process.ts'
import type {Row, Skipped} from '../lib/report.ts'
import type {Workspace} from '../lib/workspace.ts'
import {makeImage} from './image.ts'

const writes = 1500
const mib = 2 ** 20

/** What a disk costs once it is there: what scattered writes take of the host's, and reads from the base. */
export const disk = async (workspace: Workspace): Promise<(Row | Skipped)[]> => {
  const lack = await missing('zstd', 'qemu-img', 'qemu-io', 'qemu-system-x86_64')
  if (lack !== undefined) return [{what: 'disks of VMs', skipped: lack}]
  const directory = await workspace.directory('disk', 'memory')
  const raw = await makeImage(directory, 'raw')
  return [await overlays(workspace, directory, raw), await bases(workspace, directory, raw)]
}

const overlays = async (workspace: Workspace, directory: string, raw: string): Promise<Row> => {
  const vmctls = async (): Promise<number> => {
    const state = await workspace.directory('disk-state', 'memory')
    await workspace.vmctl(['create', '--name', 'vm', '--image', raw, '--state-dir', state])
    return writtenTo(join(state, 'vms/vm/overlay.qcow2'))
  }
  const plain = async (): Promise<number> => {
    const path = join(directory, 'plain.qcow2')
    await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', raw, path])
    return writtenTo(path)
  }
  return timesAsLarge({
    what: `disk use after ${writes} scattered writes of 4 KiB`,
    referenceName: 'an overlay of qemu-img create',
    samples: await inTurn({count: 2}, vmctls, plain),
    goal: {atMost: 0.2},
  })
}

/** MiB that a disk takes after the guest has written here and there. */
const writtenTo = async (path: string): Promise<number> => {
  const commands = Array.from({length: writes}, (_, index) => `write -q ${((index * 7919) % writes) * 512}k 4k`)
  await run('qemu-io', ['-t', 'unsafe', '-f', 'qcow2', path], {input: `${commands.join('\n')}\n`})
  return ((await stat(path)).blocks * 512) / mib
}

const bases = async (workspace: Workspace, directory: string, raw: string): Promise<Row> => {
  const published = join(directory, 'published.qcow2')
  await run('qemu-img', ['convert', '-q', '-c', '-f', 'raw', '-O', 'qcow2', raw, published])
  await run('zstd', ['-q', published])
  const state = await workspace.directory('base-state', 'memory')
  const {stdout} = await workspace.vmctl(['image', 'pull', `${published}.zst`, '--json', '--state-dir', state])
  const {path} = JSON.parse(stdout) as {path: string}
  const read = async (image: string): Promise<number> =>
    (await run('qemu-img', ['bench', '-q', '-f', 'qcow2', '-c', '16000', '-d', '1', '-s', '4096', '-S', '65536', image])).ms
  return timesAsFast({
    what: 'reads of 4 KiB from the base in the cache',
    referenceName: 'from the image as published, with zlib clusters',
    samples: await inTurn(
      {count: 3},
      () => read(path),
      () => read(published),
    ),
  })
}
