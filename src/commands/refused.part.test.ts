import {readdirSync} from 'node:fs'
import {join} from 'node:path'

import {expect, test} from 'vitest'

import {makeWorkspace, runCommand} from '../../test/support/run-command.ts'

test('what the backend refuses is told by validate, with its place, by plan, and by up before anything is made', async () => {
  using workspace = makeWorkspace()
  // The second VM is one that the noop backend cannot run.
  const file = workspace.write(
    'VMFile.kdl',
    'vm "one" { image "base.qcow2"; }\nvm "two" {\n  image "base.qcow2"\n  network "vnic" { name "net0"; }\n}\n',
  )
  const validated = await runCommand('validate', '--file', file)
  expect(validated.exitCode).toBe(2)
  expect(validated.stderr).toContain('VMFile.kdl:2:4')
  expect(validated.stderr).toContain('The vnic network exists on illumos only.')
  for (const verb of ['plan', 'up']) {
    const outcome = await runCommand(verb, '--file', file)
    expect(outcome.exitCode).toBe(4)
    expect(outcome.stderr).toContain('[vmctl::backend::not_available]')
  }
  expect(readdirSync(join(workspace.stateDirectory, 'vms'))).toEqual([])
})
