import {existsSync, mkdirSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {expect, test} from 'vitest'

import {makeWorkspace, runCommand} from '../../test/support/run-command.ts'

test('the VMs of the older vmctl in the same state directory are named and left alone', async () => {
  using workspace = makeWorkspace()
  const directory = join(workspace.stateDirectory, 'vms/old')
  mkdirSync(directory, {recursive: true, mode: 0o700})
  writeFileSync(join(directory, 'overlay.qcow2'), 'precious')
  writeFileSync(join(workspace.stateDirectory, 'vms.json'), '{"old": {"id": "1", "name": "old"}}')
  for (const words of [['list'], ['destroy', 'old']]) {
    const {stdout, stderr} = await runCommand(...words)
    expect(`${stdout}${stderr}`, words.join(' ')).toContain('older vmctl')
    expect(existsSync(join(directory, 'overlay.qcow2'))).toBe(true)
  }
})
