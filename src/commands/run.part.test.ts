import {afterAll, beforeAll, describe, expect, test} from 'vitest'

import {type Project, startProject} from '../../test/support/project.ts'
import {runCommand} from '../../test/support/run-command.ts'
import {sshdMissing} from '../../test/support/sshd.ts'

const missing = sshdMissing()

describe.skipIf(missing)(`vmctl run${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
  let project: Project
  beforeAll(async () => {
    project = await startProject()
  })
  afterAll(() => project[Symbol.asyncDispose]())

  test('a VM of the same name is not touched, whatever --rm says', async () => {
    const {image} = project.workspace
    expect(await runCommand('create', '--name', 'web', '--image', image)).toMatchObject({exitCode: 0})
    expect(await runCommand('run', '--rm', '--name', 'web', image, 'true')).toMatchObject({exitCode: 5})
    expect((await runCommand('list', '--json')).json).toMatchObject({vms: [{name: 'web'}]})
  })

  test('an image that is not there leaves nothing', async () => {
    expect(await runCommand('run', '--rm', '--name', 'box', './missing.qcow2')).toMatchObject({exitCode: 3})
    expect(await runCommand('run', '--rm', 'debian-99')).toMatchObject({exitCode: 3})
    expect(await runCommand('run', '--rm')).toMatchObject({exitCode: 2})
    expect((await runCommand('list', '--json')).json).toMatchObject({vms: [{name: 'web'}]})
  })
})
