import {connect} from 'node:net'

import {afterAll, beforeAll, expect, test} from 'vitest'

import {describeUnless} from '../../test/support/programs.ts'
import {type Project, startProject} from '../../test/support/project.ts'
import {runCommand, spawnCommand} from '../../test/support/run-command.ts'
import {type FakeServer, fakeServer, sshdMissing} from '../../test/support/sshd.ts'

const missing = sshdMissing()

/** Nothing is reset: what is sent into either end is simply never seen again. */
describeUnless(missing)('a connection that becomes a black hole', () => {
  let project: Project
  let relay: FakeServer
  let swallows = false
  beforeAll(async () => {
    project = await startProject()
    expect(await project.run([project.vm('web'), project.vm('db')].join(''), 'up')).toMatchObject({exitCode: 0})
    relay = await fakeServer((socket) => {
      const onward = connect(project.sshd.port, '127.0.0.1')
      socket.on('data', (chunk) => swallows || onward.write(chunk)).on('close', () => onward.destroy())
      onward.on('data', (chunk) => swallows || socket.write(chunk)).on('error', () => undefined)
    })
    process.env.VMCTL_FILE = project.path
    process.env.VMCTL_NOOP_SSH = `127.0.0.1:${relay.port}`
  })
  afterAll(async () => {
    delete process.env.VMCTL_FILE
    await relay[Symbol.asyncDispose]()
    await project[Symbol.asyncDispose]()
  })

  test('every way to a guest that prints or waits ends, and says that it was lost', {timeout: 200_000}, async () => {
    const endless = 'while :; do echo printing; sleep 0.1; done'
    const ways = [
      ['exec', 'web', 'sh', '-c', endless],
      ['exec', 'web', 'sh', '-c', 'echo printing; sleep 1000'],
      ['exec', '--all', '--', 'sh', '-c', endless],
      ['exec', '--all', '--', 'sh', '-c', 'echo printing; sleep 1000'],
      ['ssh', 'web', '--', endless],
    ]
    let printing = 0
    const ran = await Promise.all(
      ways.map((words) => {
        let isCounted = false
        return spawnCommand(words, {
          onOutput: ({stdout}) => {
            if (isCounted || !stdout.includes('printing')) return
            isCounted = true
            printing += 1
            swallows = printing === ways.length
          },
        })
      }),
    )
    for (const [index, {exitCode, stderr}] of ran.entries()) {
      expect([ways[index], exitCode]).toEqual([ways[index], 255])
      expect(stderr).toMatch(/lost|not responding/)
    }
  })

  test('ssh-config hands the same deadline to whoever reads it', async () => {
    const {stdout} = await runCommand('ssh-config', 'web')
    expect(stdout).toMatch(/\n {2}ServerAliveInterval 10\n {2}ServerAliveCountMax 3\n/)
  })
})
