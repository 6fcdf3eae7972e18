import {readFileSync} from 'node:fs'

import {expect, test} from 'vitest'

import {useWorkspace, type Workspace} from '../../../fixtures/vmfiles/workspace.ts'
import {planAll} from './converge.ts'
import {openEngine} from '../engine.ts'
import {readVmfile} from '../load.ts'
import {describeVerdict} from '../plan/verdicts.ts'

let workspace: Workspace
useWorkspace((made) => {
  workspace = made
})

test('the complete example of the design is explained by a plan', async () => {
  const example = readFileSync(new URL('../../../fixtures/vmfiles/good/stack.kdl', import.meta.url))
  const engine = await openEngine({stateDirectory: workspace.path('state'), backend: 'noop', env: {}})
  const vmfile = await readVmfile(engine, workspace.write('VMFile.kdl', example))
  const plans = await planAll(engine, {vmfile, verb: 'up', provision: true})
  const lines = plans.flatMap(({vm, steps, notices, provision}) => [
    ...steps.map(({action, cause}) => `${vm}: ${action} (${cause})`),
    ...provision.map((verdict) => `${vm}:   ${verdict.verdict} ${describeVerdict(verdict)}`),
    ...notices.map((notice) => `${vm}: ! ${notice}`),
  ])
  const shown = lines.join('\n').replaceAll(workspace.directory, '/project')
  await expect(`${shown}\n`).toMatchFileSnapshot('../../../fixtures/vmfiles/good/stack.plan.txt')
})
