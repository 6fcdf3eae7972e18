import {mkdirSync} from 'node:fs'
import {join} from 'node:path'

import {expect, test} from 'vitest'

import {describeUnless} from '../../test/support/programs.ts'
import {startProject} from '../../test/support/project.ts'
import {useShared} from '../../test/support/shared.ts'
import {runCommand} from '../../test/support/run-command.ts'
import {sshdMissing} from '../../test/support/sshd.ts'

const missing = sshdMissing()

describeUnless(missing)('vmctl run', () => {
  const project = useShared(startProject)

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

  test('a value that cannot be is refused with its flag, and leaves nothing', async () => {
    const {image} = project.workspace
    for (const [flag, value] of [
      ['--port', '70000:80'],
      ['--share', './no-such-folder:/x'],
      ['--volume', 'data'],
      ['--device', 'gpu'],
      ['--name', 'bad name'],
      ['--user', 'Bad'],
    ] as const) {
      const ran = await runCommand('run', flag, value, image, 'true')
      expect(ran, flag).toMatchObject({exitCode: 2, stdout: ''})
      expect(ran.stderr, flag).toContain(flag === '--name' || flag === '--user' ? JSON.stringify(value) : `${flag} ${value}: `)
    }
    expect((await runCommand('list', '--json')).json).toMatchObject({vms: [{name: 'web'}]})
  })

  test('what it is given stands in the spec of the VM', async () => {
    const {image, directory} = project.workspace
    // Without a guest the program cannot be run, and the VM stays.
    delete process.env.VMCTL_NOOP_SSH
    const flags = ['--port', '18080:80', '--share', `${directory}/www:/d:ro`, '--package', 'jq', '--runcmd', 'true']
    mkdirSync(join(directory, 'www'))
    const ran = await runCommand('run', '--name', 'box', ...flags, image, 'true')
    expect(ran.stderr).toContain('The noop VM box has no guest to talk to.')
    const [{spec}] = (await runCommand('inspect', 'box', '--json')).json
    expect(spec).toMatchObject({
      ports: [{host: 18_080, guest: 80}],
      shares: [{source: join(directory, 'www'), target: '/d', readOnly: true}],
      cloudInit: {hostname: 'box', packages: ['jq'], runCommands: ['true']},
    })
    await runCommand('destroy', 'box')
  })
})
