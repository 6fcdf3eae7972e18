import {writeFile} from 'node:fs/promises'
import {join} from 'node:path'

import {inTurn, timesAsLong} from '../lib/measure.ts'
import {run} from '../lib/process.ts'
import type {Row, Skipped} from '../lib/report.ts'
import {type Workspace, writeVmfile} from '../lib/workspace.ts'
import {guestLack, microDefinition, microImage} from './cold.ts'

/** A command in a guest that runs, by `vmctl ssh` and by ssh itself. */
export const enter = async (workspace: Workspace): Promise<(Row | Skipped)[]> => {
  const lack = await guestLack()
  if (lack !== undefined) return [{what: 'vmctl ssh', skipped: lack}]
  const directory = await workspace.directory('enter')
  const state = ['--state-dir', join(directory, 'state')]
  const where = ['--file', await writeVmfile(directory, microDefinition('enter', await microImage(workspace))), ...state]
  await workspace.vmctl(['up', ...where])
  const config = join(directory, 'ssh-config')
  await writeFile(config, (await workspace.vmctl(['ssh-config', ...where])).stdout)
  const samples = await inTurn(
    {count: 9, warmUp: 1, budgetMs: 60_000},
    async () => (await workspace.vmctl(['ssh', 'enter', ...state, '--', 'true'])).ms,
    async () => (await run('ssh', ['-F', config, 'enter', 'true'])).ms,
  )
  await workspace.vmctl(['down', '--destroy', ...where])
  return [timesAsLong({what: 'vmctl ssh VM -- true', referenceName: 'ssh -F of vmctl ssh-config', samples, goal: {atMost: 1.5}})]
}
