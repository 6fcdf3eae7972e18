import {existsSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {beforeEach, expect, test} from 'vitest'

import {describeUnless} from '../../test/support/programs.ts'
import {startProject} from '../../test/support/project.ts'
import {useShared} from '../../test/support/shared.ts'
import {runCommand, spawnCommand} from '../../test/support/run-command.ts'
import {sshdMissing} from '../../test/support/sshd.ts'

const missing = sshdMissing()

describeUnless(missing)('vmctl as a process', {timeout: 240_000}, () => {
  const project = useShared(startProject)
  beforeEach(() => rmSync(join(project.workspace.stateDirectory, 'vms'), {recursive: true, force: true}))
  const {vm, inline, run, vmDirectory} = project

  test('Ctrl+C in the middle of a step: status 130, the step is ended, its lock is free, and the next up runs it', async () => {
    const marks = join(project.workspace.directory, 'interrupted')
    writeFileSync(
      project.path,
      vm('web', inline(`echo run >>${marks}; echo ready; [ "$(wc -l <${marks})" -gt 1 ] || sleep 8001; echo end >>${marks}`)),
    )
    let asked = false
    const ran = await spawnCommand(['up', '--file', project.path], {
      onOutput: ({stdout}, kill) => {
        if (asked || !stdout.includes('ready')) return
        asked = true
        kill('SIGINT')
      },
    })
    expect(ran.exitCode).toBe(130)
    expect(ran.stderr).toContain('error[vmctl::interrupted]: Interrupted.')
    expect((await runCommand('status', 'web', '--json')).json).toMatchObject({
      state: 'running',
      provision: [{step: 1, state: 'interrupted'}],
    })
    expect(await run(undefined, 'up', '--fail-if-locked')).toMatchObject({exitCode: 0})
    expect(readFileSync(marks, 'utf8')).toBe('run\nrun\nend\n')
  })

  test('a second Ctrl+C leaves at once, and says so; the next up tells what became of the step', async () => {
    const marks = join(project.workspace.directory, 'left')
    writeFileSync(project.path, vm('web', inline(`trap '' TERM; echo run >>${marks}; echo ready; sleep 4; sleep 4; echo end >>${marks}`)))
    let asked = 0
    const ran = await spawnCommand(['up', '--file', project.path], {
      onOutput: ({stdout, stderr}, kill) => {
        if ((asked === 0 && stdout.includes('ready')) || (asked === 1 && stderr.includes('A second Ctrl+C leaves at once.'))) {
          asked += 1
          kill('SIGINT')
        }
      },
    })
    expect(ran).toMatchObject({exitCode: 130, stderr: expect.stringMatching(/Left at once\. [^\n]*\n$/)})
    const next = await run(undefined, 'up', '--fail-if-locked')
    expect(next.stderr).toContain('step 1 of 1 goes on')
    expect(next.exitCode === 0 || next.stderr.includes('vmctl::provision::unknown_outcome')).toBe(true)
  })

  test('a vmctl that is killed in the middle of a step: the next one follows the step on, and it runs once', async () => {
    const marks = join(project.workspace.directory, 'killed')
    writeFileSync(project.path, vm('web', inline(`echo run >>${marks}; echo ready; sleep 1.5; echo end`)))
    let asked = false
    const ran = await spawnCommand(['up', '--file', project.path], {
      onOutput: ({stdout}, kill) => {
        if (asked || !stdout.includes('ready')) return
        asked = true
        kill('SIGKILL')
      },
    })
    expect(ran.exitCode).toBe(-1)
    const next = await run(undefined, 'up')
    expect(next).toMatchObject({exitCode: 0, stderr: expect.stringContaining('step 1 of 1 goes on: inline: echo run')})
    expect(next.stdout).toMatch(/end\nweb up in \d+(?:\.\d)? s\n$/)
    expect(readFileSync(marks, 'utf8')).toBe('run\n')
  })

  test('a step that is taken out of the VMFile while it runs is named by plan, and ended by the next up', async () => {
    const marks = join(project.workspace.directory, 'removed')
    writeFileSync(
      project.path,
      vm('web', `${inline('true')}\n${inline(`echo $$ >${marks}; echo ready; sleep 8003; echo late >>${marks}`)}`),
    )
    let asked = false
    await spawnCommand(['up', '--file', project.path], {
      onOutput: ({stdout}, kill) => {
        if (asked || !stdout.includes('ready')) return
        asked = true
        kill('SIGKILL')
      },
    })
    const pid = Number(readFileSync(marks, 'utf8'))
    const {directory} = JSON.parse(readFileSync(join(vmDirectory('web'), 'journal.json'), 'utf8')).steps[1].memory
    expect([existsSync(`/proc/${pid}`), existsSync(directory)]).toEqual([true, true])
    const planned = await run(vm('web', inline('true')), 'plan')
    expect(planned.stdout).toMatch(/provision +a step is no longer declared\n.*may be left in the guest, and is ended first \(inline: echo/)
    expect(await run(undefined, 'up')).toMatchObject({
      exitCode: 0,
      stderr: expect.stringContaining('a step that is no longer declared was ended in the guest (inline: echo'),
    })
    expect([existsSync(`/proc/${pid}`), existsSync(directory)]).toEqual([false, false])
    expect(await run(undefined, 'plan')).toMatchObject({stdout: expect.stringContaining('is already running')})
    expect(readFileSync(marks, 'utf8')).toBe(`${pid}\n`)
  })

  test('ssh hands over to the ssh program, as strict as vmctl itself, and passes its status on', async () => {
    await run(vm('web'), 'up')
    const bin = join(import.meta.dirname, '../../fixtures/bin')
    const env = {PATH: `${bin}:${process.env.PATH}`, FAKE_SSH_STATUS: '23'}
    const {stdout, exitCode} = await spawnCommand(['ssh', 'web', '--user', project.sshd.user, '--', 'ls', '-l', 'two words'], {
      env,
      cwd: project.workspace.directory,
    })
    expect(exitCode).toBe(23)
    const {json} = await runCommand('status', 'web', '--json')
    const words = stdout.trim().split('\n')
    for (const option of [
      `HostKeyAlias=vmctl-${json.id}`,
      'StrictHostKeyChecking=yes',
      `UserKnownHostsFile="${vmDirectory('web')}/known_hosts"`,
      'GlobalKnownHostsFile=/dev/null',
      'IdentitiesOnly=yes',
      `IdentityFile="${project.sshd.keyPath}"`,
    ]) {
      expect(words[words.indexOf(option) - 1], option).toBe('-o')
    }
    expect(words.slice(-7)).toEqual(['-p', String(project.sshd.port), '-l', project.sshd.user, '127.0.0.1', '--', "'ls' '-l' 'two words'"])
    // Without a name: the only VM of the VMFile of this directory; one word is a command line of the guest's shell.
    const short = await spawnCommand(['ssh', '--', 'df | tail -1'], {env: {...env, FAKE_SSH_STATUS: '0'}, cwd: project.workspace.directory})
    expect(short.exitCode).toBe(0)
    expect(short.stdout.trim().split('\n').slice(-5)).toEqual(['-l', project.sshd.user, '127.0.0.1', '--', 'df | tail -1'])
    await runCommand('stop', 'web')
    expect(await runCommand('ssh', 'web')).toMatchObject({
      exitCode: 5,
      stderr: expect.stringContaining('VM web is stopped; SSH needs a running one.'),
    })
  })
})
