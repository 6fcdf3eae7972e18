import {rm, stat} from 'node:fs/promises'
import {join} from 'node:path'

import {inTurn, timesAsFast, timesAsLarge} from '../lib/measure.ts'
import {missing, run} from '../lib/process.ts'
import type {Row, Skipped} from '../lib/report.ts'
import type {Workspace} from '../lib/workspace.ts'
import {makeImage} from './image.ts'

/** What a package costs beside the conversion that it cannot do without, and how small it is beside a plain image. */
export const packaging = async (workspace: Workspace): Promise<(Row | Skipped)[]> => {
  const lack = await missing('qemu-img')
  if (lack !== undefined) return [{what: 'package of a VM', skipped: lack}]
  const directory = await workspace.directory('package', 'memory')
  const raw = await makeImage(directory, 'raw')
  const state = await workspace.directory('package-state', 'memory')
  const env = {VMCTL_BACKEND: 'noop'}
  await workspace.vmctl(['create', '--name', 'vm', '--image', raw, '--state-dir', state], {env})
  const [ours, plain] = [join(directory, 'ours.qcow2'), join(directory, 'plain.qcow2')]
  const packageIt = async (): Promise<number> =>
    (await workspace.vmctl(['package', 'vm', '--no-clean', '--force', '-o', ours, '--state-dir', state], {env})).ms
  const convert = async (...how: readonly string[]): Promise<number> => {
    await rm(plain, {force: true})
    return (await run('qemu-img', ['convert', '-q', ...how, '-f', 'raw', '-O', 'qcow2', raw, plain])).ms
  }
  const speed = timesAsFast({
    what: 'package of a disk of 1 GiB, without cleaning',
    referenceName: 'qemu-img convert -c with zstd',
    samples: await inTurn({count: 3}, packageIt, () => convert('-c', '-o', 'compression_type=zstd')),
  })
  await convert()
  const [{size: oursBytes}, {size: plainBytes}] = await Promise.all([stat(ours), stat(plain)])
  const size = timesAsLarge({
    what: 'size of the package',
    referenceName: 'qemu-img convert',
    samples: {ours: [oursBytes / 2 ** 20], reference: [plainBytes / 2 ** 20]},
    goal: {atMost: 0.6},
  })
  return [speed, size]
}
