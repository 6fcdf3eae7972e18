import {join} from 'node:path'

import {connectQmp} from '../../src/hypervisor/qemu/qmp.ts'
import {inTurn, plainly, timesAsLong} from '../lib/measure.ts'
import type {Row, Skipped} from '../lib/report.ts'
import {type Workspace, writeVmfile} from '../lib/workspace.ts'
import {guestLack, microImage} from './cold.ts'

const rounds = 3
const usedMiB = 192

/** How long a guest of 1 GiB stands still for a snapshot, and how long it takes until it answers again after one was put back. */
export const snapshot = async (workspace: Workspace): Promise<(Row | Skipped)[]> => {
  const lack = await guestLack()
  if (lack !== undefined) return [{what: 'snapshots', skipped: lack}]
  const directory = await workspace.directory('snapshot')
  const state = ['--state-dir', join(directory, 'state')]
  const where = ['--file', await writeVmfile(directory, definition(await microImage(workspace))), ...state]
  const inGuest = async (command: string): Promise<void> => void (await workspace.vmctl(['ssh', 'kept', ...state, '--', command]))
  const prepared = async (): Promise<void> => {
    await workspace.vmctl(['up', ...where])
    await inGuest(`dd if=/dev/urandom of=/dev/shm/used bs=1M count=${usedMiB} 2>/dev/null`)
  }
  await prepared()
  let count = 0
  const paused = async (...flags: readonly string[]): Promise<number> => {
    const name = `moment-${++count}`
    const {stdout} = await workspace.vmctl(['snapshot', 'create', name, 'kept', '--json', ...flags, ...state])
    return (JSON.parse(stdout) as {readonly pausedMs: number}).pausedMs
  }
  const withMemory = await inTurn(
    {count: rounds, budgetMs: 120_000},
    () => paused(),
    () => savevm(join(directory, 'state/vms/kept/qmp.sock')),
  )
  const disks: number[] = []
  while (disks.length < rounds) disks.push(await paused('--disk-only'))
  const restored = await inTurn(
    {count: 2, budgetMs: 120_000},
    () =>
      timed(
        () => workspace.vmctl(['snapshot', 'restore', 'moment-1', 'kept', '--yes', ...state]),
        () => inGuest('true'),
      ),
    async () => {
      await workspace.vmctl(['stop', 'kept', '--timeout', '0', ...state])
      return timed(
        () => workspace.vmctl(['up', ...where]),
        () => inGuest('true'),
      )
    },
  )
  await workspace.vmctl(['down', '--destroy', ...where])
  return [
    plainly('a guest of 1 GiB stands still for a snapshot', withMemory.ours, {atMost: 500}),
    timesAsLong({what: 'the same', referenceName: 'savevm of QEMU', samples: withMemory}),
    plainly('the same with its disks alone', disks, {atMost: 100}),
    timesAsLong({
      what: 'snapshot restore, then a command',
      referenceName: 'a cold boot, then a command',
      samples: restored,
      goal: {atMost: 0.1},
    }),
  ]
}

const definition = (image: string): string => `vm "kept" {
  image "${image}" format="qcow2"
  memory "1G"
  cloud-init {
    hostname "kept"
    user "vm"
  }
  ssh {
    user "vm"
  }
}
`

const timed = async (...actions: readonly (() => Promise<unknown>)[]): Promise<number> => {
  const began = performance.now()
  for (const action of actions) await action()
  return performance.now() - began
}

/** What QEMU does by itself: the guest stands still while its memory goes into the overlay. */
const savevm = async (monitor: string): Promise<number> => {
  using qmp = await connectQmp(monitor, {timeoutMs: 120_000})
  const tell = (line: string) => qmp.execute('human-monitor-command', {'command-line': line})
  const ms = await timed(async () => {
    const said = await tell('savevm bench')
    if (typeof said === 'string' && said.trim() !== '') throw new Error(said)
  })
  await tell('delvm bench')
  return ms
}
