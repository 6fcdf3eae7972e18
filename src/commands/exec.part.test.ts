import {execFileSync} from 'node:child_process'
import {writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {afterAll, beforeAll, expect, test} from 'vitest'

import {describeUnless} from '../../test/support/programs.ts'
import {type Project, startProject} from '../../test/support/project.ts'
import {runCommand, runShell, spawnCommand} from '../../test/support/run-command.ts'
import {sshdMissing} from '../../test/support/sshd.ts'

const missing = sshdMissing()

describeUnless(missing)('several VMs at once', () => {
  let project: Project
  beforeAll(async () => {
    project = await startProject()
    const text = [project.vm('web', project.inline('echo from web')), project.vm('db', project.inline('echo from db'))].join('')
    expect(await project.run(text, 'up')).toMatchObject({exitCode: 0})
    process.env.VMCTL_FILE = project.path
  })
  afterAll(async () => {
    delete process.env.VMCTL_FILE
    await project[Symbol.asyncDispose]()
  })

  test('exec runs a program in all, its words as they are, each line behind the name', async () => {
    const {exitCode, stdout} = await runCommand('exec', '--all', '--', 'printf', '%s\\n', "it's $HOME", '--json')
    expect(exitCode).toBe(0)
    expect(stdout.split('\n').toSorted()).toEqual(['', 'db  | --json', "db  | it's $HOME", 'web | --json', "web | it's $HOME"])
  })

  test('the exit status is that of the program, and one VM does not hide the others', async () => {
    expect(await runCommand('exec', '--all', '--', 'sh', '-c', 'exit 7')).toMatchObject({exitCode: 7})
    const {json, exitCode} = await runCommand('exec', '--json', '--all', 'true')
    expect(exitCode).toBe(0)
    expect(json).toEqual({
      vms: [
        {name: 'web', exitCode: 0},
        {name: 'db', exitCode: 0},
      ],
    })
  })

  test('one VM has the output and the status of its program passed on as they are', async () => {
    const {exitCode, stdout} = await spawnCommand(['exec', 'web', 'sh', '-c', 'printf "a\\033[1mb"; exit 3'])
    expect({exitCode, stdout}).toEqual({exitCode: 3, stdout: 'a\u001B[1mb'})
  })

  test('what is missing is told', async () => {
    expect(await runCommand('exec', '--all')).toMatchObject({exitCode: 2})
    expect(await runCommand('exec', '--', 'true')).toMatchObject({exitCode: 2})
    expect(await runCommand('exec', 'ghost', 'true')).toMatchObject({exitCode: 3})
  })

  test('without a program it is a shell; --workdir says where either begins', async () => {
    const typed = await runShell(`echo 'cd /; echo "$((6 * 7)) $PWD"; exit 3' | vmctl exec web`)
    expect(typed).toMatchObject({exitCode: 3, stdout: '42 /\n'})
    expect((await runShell('echo pwd | vmctl exec -w /usr web')).stdout).toContain('/usr\n')
    expect((await spawnCommand(['exec', '-w', '/usr/bin', 'web', 'sh', '-c', 'echo "$0 $PWD"'])).stdout).toBe('sh /usr/bin\n')
    expect((await runCommand('exec', '--all', '--workdir', '/', 'pwd')).stdout.split('\n').toSorted()).toEqual(['', 'db  | /', 'web | /'])
    expect((await spawnCommand(['exec', '--workdir', '/no/such', 'web', 'true'])).exitCode).toBe(126)
  })

  test('a user that is no name reaches no program', async () => {
    for (const user of ['bad user', '-oProxyCommand=x', 'a;b', '']) {
      expect(await runCommand('exec', '--user', user, 'web', 'true'), user).toMatchObject({exitCode: 2, stdout: ''})
      expect(await runCommand('ssh', 'web', '--user', user, '--', 'true'), user).toMatchObject({exitCode: 2, stdout: ''})
      expect(await runCommand('run', '--user', user, 'base.qcow2', 'true'), user).toMatchObject({exitCode: 2, stdout: ''})
    }
  })

  test('the ssh program gets there by what ssh-config prints, and by nothing less', async () => {
    const {stdout, exitCode} = await runCommand('ssh-config')
    expect(exitCode).toBe(0)
    expect(stdout).toMatch(/^Host web\n {2}HostName 127\.0\.0\.1\n {2}Port \d+\n/)
    const path = join(project.workspace.directory, 'ssh config')
    writeFileSync(path, stdout)
    expect(execFileSync('ssh', ['-F', path, 'web', 'echo', 'here'], {encoding: 'utf8'})).toBe('here\n')
    writeFileSync(path, stdout.replaceAll(/HostKeyAlias .*/g, 'HostKeyAlias another'))
    expect(() => execFileSync('ssh', ['-F', path, 'web', 'true'], {stdio: 'pipe'})).toThrow(/Host key verification failed/)
  })

  test('it also gets there by the fields of ssh-config --json alone', async () => {
    const {json} = await runCommand('ssh-config', 'web', '--json')
    const {hostName, port, user, identityFile, knownHosts, hostKeyAlias} = json.hosts[0]
    const options = [`IdentityFile=${identityFile}`, `UserKnownHostsFile=${knownHosts}`, `HostKeyAlias=${hostKeyAlias}`]
    const words = ['-F', 'none', '-o', 'StrictHostKeyChecking=yes', ...options.flatMap((option) => ['-o', option]), '-p', String(port)]
    expect(execFileSync('ssh', [...words, `${user}@${hostName}`, 'echo', 'here'], {encoding: 'utf8'})).toBe('here\n')
  })

  test('logs of several VMs, each line behind the name', async () => {
    const {stdout} = await runCommand('logs', '--provision')
    expect(stdout).toMatch(/^web \| .*\n(?:.*\n)*web \| from web\n(?:.*\n)*db {2}\| from db\n/)
    const {json} = await runCommand('log', 'db', '--provision', '--json')
    expect(json).toMatchObject({logs: [{vm: 'db', log: 'provision', text: expect.stringContaining('from db')}]})
  })

  test('inspect tells all of them as JSON', async () => {
    const {stdout} = await runCommand('inspect', 'web', 'db')
    const all: unknown = JSON.parse(stdout)
    expect(all).toMatchObject([
      {status: {name: 'web', state: 'running'}, spec: {name: 'web'}},
      {status: {name: 'db'}, attachments: {nics: [], disks: [], folders: []}},
    ])
  })
})
