import {join} from 'node:path'

import {inTurn, timesAsLong} from '../lib/measure.ts'
import type {Row, Skipped} from '../lib/report.ts'
import {type Workspace, writeVmfile} from '../lib/workspace.ts'
import {guestLack, microImage} from './cold.ts'

const stepCount = 9

/** What is not done again: the steps before the one that was edited, and the boot of a VM that is tried upon. */
export const layers = async (workspace: Workspace): Promise<(Row | Skipped)[]> => {
  const lack = await guestLack()
  if (lack !== undefined) return [{what: 'layers of steps', skipped: lack}]
  const image = await microImage(workspace)
  const [directory, single] = [await workspace.directory('layers'), await workspace.directory('single')]
  const long = Array.from({length: stepCount - 1}, (_, index) => `sleep 3; echo ${index}`)
  let edits = 0
  const made = async (verb: 'up' | 'reload', where: string, earlier: readonly string[]): Promise<number> => {
    const file = await writeVmfile(where, definition(image, [...earlier, `echo edit ${++edits}`]))
    return (await workspace.vmctl([verb, '--file', file, '--state-dir', join(where, 'state')])).ms
  }
  const cold = await made('up', directory, long)
  await made('up', single, [])
  const reloads = await inTurn(
    {count: 2, budgetMs: 120_000},
    () => made('reload', directory, long),
    () => made('reload', single, []),
  )
  const file = join(directory, 'VMFile.kdl')
  const where = ['--file', file, '--state-dir', join(directory, 'state')]
  const {ms: tried} = await workspace.vmctl(['try', ...where, '--', 'true'])
  for (const one of [directory, single])
    await workspace.vmctl(['down', '--destroy', '--file', join(one, 'VMFile.kdl'), '--state-dir', join(one, 'state')])
  return [
    timesAsLong({
      what: `reload after an edit of the last of ${stepCount} steps`,
      referenceName: 'of a VM with that step alone',
      samples: reloads,
      goal: {atMost: 1.1},
    }),
    timesAsLong({
      what: 'vmctl try -- true',
      referenceName: 'cold vmctl up of the same',
      samples: {ours: [tried], reference: [cold]},
      goal: {atMost: 0.2},
    }),
  ]
}

const definition = (image: string, steps: readonly string[]): string => `vm "layered" {
  image "${image}" format="qcow2"
  memory "256M"
  cloud-init {
    hostname "layered"
    user "vm"
  }
  ssh {
    user "vm"
  }
${steps.map((step) => `  provision "shell" run="once" {\n    inline "${step}"\n  }\n`).join('')}}
`
