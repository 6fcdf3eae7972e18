import {existsSync, readFileSync, renameSync} from 'node:fs'
import {join} from 'node:path'

import {expect, test} from 'vitest'

import {describeUnless} from '../../test/support/programs.ts'
import {startProject} from '../../test/support/project.ts'
import {useShared} from '../../test/support/shared.ts'
import {runCommand} from '../../test/support/run-command.ts'
import {sshdMissing} from '../../test/support/sshd.ts'
import {generateKeyPair} from '../../test/support/state.ts'

const missing = sshdMissing()

describeUnless(missing)('a way into a guest', () => {
  const project = useShared(startProject)

  test.each([
    ['plain', 'memory 512', 'neither a cloud-init nor an ssh block', '`vmctl ssh plain --user NAME --key PATH`'],
    ['lone', 'network "none"; cloud-init { }', 'it has no network', '`network "user"`'],
  ])('%s has none: up says so and waits for nothing, ssh, exec and cp fail at once', async (name, body, reason, advice) => {
    const ran = await project.run(`vm "${name}" { image "base.qcow2"; ${body}; }\n`, 'up')
    expect(ran.exitCode).toBe(0)
    expect(ran.stderr).toContain(`${name}: vmctl cannot log in to it: `)
    expect(ran.stderr).toContain(reason)
    expect(ran.stdout).toMatch(new RegExp(`\\nNext: vmctl console ${name}\\n$`))
    for (const words of [
      ['ssh', name, '--', 'true'],
      ['exec', name, 'true'],
      ['cp', `${name}:/etc/hostname`, '.'],
    ]) {
      const [verb = '', ...rest] = words
      const refused = await runCommand(verb, ...rest)
      expect(refused.exitCode, verb).not.toBe(0)
      expect(refused.stderr, verb).toContain(reason)
      if (verb === 'ssh') expect(refused.stderr).toContain(advice)
    }
    expect((await project.run(undefined, 'up', '--json')).json).toMatchObject({vms: [{name, login: false}]})
  })

  test('a user or a key that is named is tried all the same', async () => {
    await project.run('vm "plain" { image "base.qcow2"; }\n', 'up')
    const {user, keyPath} = project.sshd
    expect(await runCommand('ssh', 'plain', '--user', user, '--key', keyPath, '--', 'exit 5')).toMatchObject({exitCode: 5})
  })

  test("create makes a key of its own, also beside the user's", async () => {
    const {workspace} = project
    const mine = generateKeyPair('mine').publicKey
    const key = workspace.write('mine.pub', `${mine}\n`)
    expect(await runCommand('create', '--name', 'bare', '--image', workspace.image)).toMatchObject({exitCode: 0})
    expect(await runCommand('create', '--name', 'both', '--image', workspace.image, '--ssh-key', key)).toMatchObject({exitCode: 0})
    const own = (name: string): string => readFileSync(join(project.vmDirectory(name), 'id_ed25519_generated.pub'), 'utf8').trim()
    const seed = (name: string): string => readFileSync(join(project.vmDirectory(name), 'seed.iso'), 'latin1')
    expect(existsSync(join(project.vmDirectory('bare'), 'id_ed25519_generated'))).toBe(true)
    expect(seed('bare')).toContain(own('bare'))
    expect(seed('both')).toContain(own('both'))
    expect(seed('both')).toContain(mine)
  })

  test('create refuses a key that is not there also beside user-data, and says that user-data has the say', async () => {
    const {workspace} = project
    const userData = workspace.write('user-data', '#cloud-config\n')
    const words = ['--name', 'raw', '--image', workspace.image, '--cloud-init', userData, '--ssh-key']
    const unread = ['--name', 'raw', '--image', workspace.image, '--cloud-init', workspace.write('no-header', 'users: []\n')]
    expect((await runCommand('create', ...unread)).stderr).toContain('does not begin with a line that cloud-init knows')
    const refused = await runCommand('create', ...words, '/no/such.pub')
    expect(refused.exitCode).toBe(2)
    expect(refused.stderr).toContain('/no/such.pub')
    const made = await runCommand('create', ...words, workspace.write('raw.pub', `${generateKeyPair('raw').publicKey}\n`))
    expect(made.exitCode).toBe(0)
    expect(made.stderr).toContain('--ssh-key is ignored')
  })

  test('a key that is named and does not fit is told, and the next one is taken', async () => {
    const {workspace} = project
    const other = workspace.write('other', generateKeyPair('other').privateKey)
    await project.run(project.vm('web'), 'up')
    const ran = await runCommand('ssh', 'web', '--key', other, '--file', project.path, '--', 'exit 4')
    expect(ran.exitCode).toBe(4)
    expect(ran.stderr).toContain(`web: the guest did not accept ${other}, but ${project.sshd.keyPath}`)
  })

  test('ssh logs in once to a guest that was reached before, whatever the status is', async () => {
    const {workspace, sshd} = project
    await project.run(project.vm('web'), 'up')
    const logins = (): number => sshd.said().split('Accepted publickey').length
    const ran = join(workspace.directory, 'ran')
    for (const status of [0, 5, 255]) {
      const before = logins()
      expect(await runCommand('ssh', 'web', '--', `echo ${status} >>${ran}; exit ${status}`)).toMatchObject({exitCode: status})
      expect(logins() - before).toBe(1)
    }
    expect(readFileSync(ran, 'utf8')).toBe('0\n5\n255\n')
  })

  test('a guest that lets nobody in is told by vmctl, in one voice', async () => {
    await project.run(project.vm('web'), 'up')
    const keys = join(project.sshd.directory, 'authorized_keys')
    renameSync(keys, `${keys}.away`)
    try {
      const refused = await runCommand('ssh', 'web', '--', 'true')
      expect(refused.stderr).toContain('vmctl::ssh::authentication_failed')
      expect(refused.stderr).not.toMatch(/^\S+@127\.0\.0\.1: Permission denied/m)
    } finally {
      renameSync(`${keys}.away`, keys)
    }
  })
})
