import {join, resolve} from 'node:path'

import {afterAll, beforeAll, describe, expect, test} from 'vitest'

import {linkPlugin, writePlugin} from '../../test/support/link-plugin.ts'
import {type Project, startProject} from '../../test/support/project.ts'
import {makeWorkspace, spawnCommand} from '../../test/support/run-command.ts'
import {sshdMissing} from '../../test/support/sshd.ts'

const missing = sshdMissing()

describe.skipIf(missing)(`the example of a plugin${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
  let project: Project
  beforeAll(async () => {
    project = await startProject()
    linkPlugin(project.workspace, {name: 'vmctl-plugin-note', root: resolve(import.meta.dirname, '../../examples/plugin-note')})
  })
  afterAll(() => project[Symbol.asyncDispose]())

  const note = (path: string): string => `  provision "note" { text "hello"; path ${JSON.stringify(path)}; }`

  test('fails with a code, a status and advice of its own', async () => {
    const path = '/no/such/directory/note'
    const {exitCode, stderr} = await project.run(project.vm('web', note(path)), 'up')
    expect(exitCode).toBe(6)
    expect(stderr).toContain(`error[note::file::not_written]: web: step 1 (note in ${path}): The note could not be written to ${path}.`)
    expect(stderr).toContain('help: Look at the directory in the guest (`vmctl ssh web`), or choose another `path`.')
    const again = await project.run(undefined, 'up', '--json')
    expect(again.exitCode).toBe(6)
    expect(again.json.error).toMatchObject({code: 'note::file::not_written', vm: 'web', step: 1, exitCode: expect.any(Number)})
    const status = await project.run(undefined, 'status', '--json')
    expect(status.json.provision).toMatchObject([{state: 'failed', exitCode: again.json.error.exitCode}])
  })

  test('of two VMs the status is the same', async () => {
    const text = ['web', 'db'].map((name) => project.vm(name, note(join('/no/such', name)))).join('')
    expect(await project.run(text, 'up')).toMatchObject({exitCode: 6, stderr: expect.stringContaining('error[vmctl::vms::failed]')})
  })
})

test('a plugin that takes a code of vmctl is refused; the commands about plugins go on', async () => {
  using workspace = makeWorkspace()
  writePlugin(workspace, `export default () => ({failures: [{code: 'vmctl::vm::locked', exit: 5, help: 'Wait.'}]})\n`)
  expect(await spawnCommand(['list', '--json'])).toMatchObject({
    exitCode: 4,
    json: {
      error: {
        code: 'vmctl::plugin::invalid',
        message: 'A plugin registers the failure "vmctl::vm::locked": vmctl:: is for the failures of vmctl itself.',
      },
    },
  })
  expect((await spawnCommand(['plugins'])).stdout).toContain('vmctl-plugin-test')
})
