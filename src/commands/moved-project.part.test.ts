import {cpSync, linkSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {beforeAll, beforeEach, expect, test} from 'vitest'

import {describeUnless} from '../../test/support/programs.ts'
import {startProject} from '../../test/support/project.ts'
import {useShared} from '../../test/support/shared.ts'
import {runCommand, untimed} from '../../test/support/run-command.ts'
import {sshdMissing} from '../../test/support/sshd.ts'

const missing = sshdMissing()

/** A project that is no longer where its VMs were made: the noop backend, and a real sshd as the guest. */
describeUnless(missing)('a project that has moved', () => {
  const project = useShared(startProject)
  beforeEach(() => {
    rmSync(join(project.workspace.stateDirectory, 'vms'), {recursive: true, force: true})
    for (const name of ['a', 'b', 'c']) rmSync(at(name), {recursive: true, force: true})
    mkdirSync(at('a'))
    cpSync(project.workspace.image, at('a/base.qcow2'))
    writeFileSync(at('a/VMFile.kdl'), text)
  })
  const at = (name: string): string => join(project.workspace.directory, name)
  let text = ''
  beforeAll(() => {
    text = project.vm('web', project.inline(`echo ran >> ${at('count')}`))
  })
  const run = async (directory: string, verb: string, ...words: readonly string[]) => {
    const {exitCode, stdout, stderr} = await runCommand(verb, '--file', at(`${directory}/VMFile.kdl`), ...words)
    return {exitCode, stdout, stderr: untimed(stderr)}
  }
  const recorded = (): string => JSON.parse(readFileSync(join(project.vmDirectory('web'), 'vm.json'), 'utf8')).vmfile

  test('mv: every verb works, nothing counts as changed, and the VM belongs to the new place from then on', async () => {
    await run('a', 'up')
    renameSync(at('a'), at('b'))
    const moved = `was made by ${at('a/VMFile.kdl')}, which is gone; it belongs to ${at('b/VMFile.kdl')} now`
    expect((await run('b', 'plan')).stdout).toBe(`VM   ACTION  CAUSE\nweb  none    ${moved}\nweb  none    is already running\n`)
    expect(recorded()).toBe(at('a/VMFile.kdl'))
    expect(await run('b', 'up')).toMatchObject({exitCode: 0, stderr: `web: ${moved}\nweb: is already running\n`})
    expect(recorded()).toBe(at('b/VMFile.kdl'))
    expect(await run('b', 'up')).toMatchObject({exitCode: 0, stderr: 'web: is already running\n'})
    renameSync(at('b'), at('c'))
    expect(await run('c', 'down')).toMatchObject({exitCode: 0, stdout: expect.stringMatching(/^web stopped in /)})
    expect(await run('c', 'up')).toMatchObject({exitCode: 0})
    renameSync(at('c'), at('a'))
    expect(await run('a', 'provision')).toMatchObject({exitCode: 0})
    renameSync(at('a'), at('b'))
    expect(await run('b', 'reload')).toMatchObject({exitCode: 0})
    renameSync(at('b'), at('c'))
    expect(await run('c', 'down', '--destroy')).toMatchObject({exitCode: 0, stdout: expect.stringMatching(/^web destroyed in /)})
  })

  test.each([
    ['a file system on which nothing keeps its inode', () => cpSync(at('a'), at('b'), {recursive: true})],
    [
      'a VMFile that was edited on the way',
      () => {
        renameSync(at('a'), at('b'))
        rmSync(at('b/VMFile.kdl'))
        writeFileSync(at('b/VMFile.kdl'), `${text}\n// edited\n`)
      },
    ],
  ])('%s', async (_what, move) => {
    await run('a', 'up')
    move()
    rmSync(at('a'), {recursive: true, force: true})
    expect(await run('b', 'up')).toMatchObject({exitCode: 0, stderr: expect.stringContaining('it belongs to')})
  })

  test('the same directory in two places: both are its own, and neither takes it from the other', async () => {
    await run('a', 'up')
    mkdirSync(at('b'))
    // What a bind mount is to those who look: the same file under another path that is no symbolic link.
    linkSync(at('a/VMFile.kdl'), at('b/VMFile.kdl'))
    cpSync(project.workspace.image, at('b/base.qcow2'))
    for (const place of ['b', 'a', 'b']) {
      expect(await run(place, 'up')).toMatchObject({exitCode: 0, stderr: 'web: is already running\n'})
      expect(recorded()).toBe(at('a/VMFile.kdl'))
    }
    symlinkSync(at('a'), at('c'))
    expect(await run('c', 'up')).toMatchObject({exitCode: 0, stderr: 'web: is already running\n'})
  })

  test('a copy of a project that is still there is another project, whatever is asked for', async () => {
    await run('a', 'up')
    cpSync(at('a'), at('b'), {recursive: true})
    for (const words of [[], ['--adopt']]) {
      for (const verb of ['up', 'down', 'plan', 'reload', 'provision']) {
        expect(await run('b', verb, ...words), verb).toMatchObject({
          exitCode: 5,
          stderr: expect.stringContaining(`vmctl down --destroy --name web --file ${at('a/VMFile.kdl')}`),
        })
      }
    }
    expect(await run('a', 'up')).toMatchObject({exitCode: 0, stderr: 'web: is already running\n'})
  })

  test('--adopt takes a VM whose VMFile is gone, or does not define it any more, or was never there', async () => {
    mkdirSync(at('b'))
    cpSync(project.workspace.image, at('b/base.qcow2'))
    writeFileSync(at('b/VMFile.kdl'), `${text}\n// another project\n`)
    const expectAdoption = async (): Promise<void> => {
      expect(await run('b', 'up')).toMatchObject({exitCode: 5, stderr: expect.stringContaining('add `--adopt`')})
      expect(await run('b', 'plan', '--adopt')).toMatchObject({exitCode: 0, stdout: expect.stringContaining('it belongs to')})
      expect(await run('b', 'up', '--adopt', '--no-provision')).toMatchObject({
        exitCode: 0,
        stderr: expect.stringContaining('it belongs to'),
      })
      expect(recorded()).toBe(at('b/VMFile.kdl'))
      expect(await run('b', 'down', '--destroy')).toMatchObject({exitCode: 0})
    }
    await run('a', 'up')
    writeFileSync(at('a/VMFile.kdl'), project.vm('other'))
    await expectAdoption()
    writeFileSync(at('a/VMFile.kdl'), text)
    await run('a', 'up')
    rmSync(at('a'), {recursive: true})
    await expectAdoption()
    await runCommand('create', '--name', 'web', '--image', project.workspace.image)
    await expectAdoption()
  })
})
