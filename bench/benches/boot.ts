import {join} from 'node:path'

import {inTurn, timesAsLong} from '../lib/measure.ts'
import {run} from '../lib/process.ts'
import type {Row, Skipped} from '../lib/report.ts'
import {type Workspace, writeVmfile} from '../lib/workspace.ts'
import {guestLack, handWritten, microDefinition, microImage} from './cold.ts'

/** What the same guest needs from QEMU to its first command, on the disk that vmctl makes and on the one that the image would be as published. */
export const boot = async (workspace: Workspace): Promise<(Row | Skipped)[]> => {
  const lack = await guestLack()
  if (lack !== undefined) return [{what: 'boot from a compressed image', skipped: lack}]
  const directory = await workspace.directory('boot')
  const published = join(directory, 'published.qcow2')
  await run('qemu-img', ['convert', '-q', '-c', '-O', 'qcow2', await microImage(workspace), published])
  const state = join(directory, 'state')
  const where = ['--file', await writeVmfile(directory, microDefinition('boot', published)), '--state-dir', state]
  const {stdout} = await workspace.vmctl(['image', 'pull', published, '--json', '--state-dir', state])
  await workspace.vmctl(['up', '--no-provision', ...where])
  const script = async (name: string, overlay: string): Promise<string> =>
    handWritten({vm: join(state, 'vms/boot'), own: await workspace.directory(name), overlay})
  const {path} = JSON.parse(stdout) as {readonly path: string}
  const ours = await script('boot-ours', `-o extended_l2=on,cluster_size=128k -F qcow2 -b '${path}'`)
  const plain = await script('boot-plain', `-F qcow2 -b '${published}'`)
  await workspace.vmctl(['down', '--destroy', ...where])
  const cpu = (file: string) => async (): Promise<number> => {
    const {stdout: ticks} = await run('sh', [file, 'shared'], {env: workspace.env})
    const [user = NaN, system = NaN] = ticks.trim().split(' ').map(Number)
    return (user + system) * 10
  }
  return [
    timesAsLong({
      what: 'CPU time of a boot from a base that was compressed',
      referenceName: 'as published, plain overlay',
      samples: await inTurn({count: 4, budgetMs: 120_000}, cpu(ours), cpu(plain)),
      goal: {atMost: 1.05},
    }),
  ]
}
