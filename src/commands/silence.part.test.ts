import {randomBytes} from 'node:crypto'
import {mkdirSync, readdirSync, readFileSync, writeFileSync} from 'node:fs'
import {connect, type Socket} from 'node:net'
import {join} from 'node:path'

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
  /** Connections that are black holes from this many bytes on; a new one is none. */
  let deadAfterBytes = Infinity
  const dead = new WeakSet<Socket>()
  beforeAll(async () => {
    project = await startProject()
    expect(await project.run([project.vm('web'), project.vm('db')].join(''), 'up')).toMatchObject({exitCode: 0})
    relay = await fakeServer((socket) => {
      const onward = connect(project.sshd.port, '127.0.0.1')
      let bytes = 0
      const pass = (to: Socket) => (chunk: Buffer) => {
        bytes += chunk.length
        if (bytes > deadAfterBytes) dead.add(socket)
        if (!swallows && !dead.has(socket)) to.write(chunk)
      }
      socket.on('data', pass(onward)).on('close', () => onward.destroy())
      onward.on('data', pass(socket)).on('error', () => undefined)
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

  test(
    'cp fails and leaves no half file; a step goes on over another connection, runs once, and keeps all of its output',
    {timeout: 200_000},
    async () => {
      const path = project.workspace.directory
      const there = join(path, 'guest')
      const here = join(path, 'here')
      for (const directory of ['tree', 'guest/tree', 'here']) mkdirSync(join(path, directory), {recursive: true})
      for (const name of ['big', 'tree/big', 'guest/big', 'guest/tree/big']) writeFileSync(join(path, name), randomBytes(4_000_000))
      const count = join(path, 'count')
      // More than one connection takes, and less than two.
      writeFileSync(project.path, project.vm('web', project.inline(`echo ran >>${count}; seq 60000; echo the end`)) + project.vm('db'))
      swallows = false
      deadAfterBytes = 300_000
      const [up, ...copies] = await Promise.all(
        [
          ['up', 'web'],
          ['cp', join(path, 'big'), `db:${there}/sent`],
          ['cp', `db:${there}/big`, here],
          ['cp', join(path, 'tree'), `db:${there}/sent-tree`],
          ['cp', `db:${there}/tree`, here],
        ].map((words) => spawnCommand(words)),
      )
      deadAfterBytes = Infinity
      expect([up?.exitCode, up?.stdout.includes('\n59999\n60000\nthe end\n')]).toEqual([0, true])
      expect(up?.stdout.match(/^\d+$/gm)).toHaveLength(60_000)
      expect(readFileSync(count, 'utf8')).toBe('ran\n')
      for (const {exitCode, stderr} of copies)
        expect({exitCode, stderr}).toEqual({exitCode: 6, stderr: expect.stringMatching(/^error\[vmctl::[a-z_:]+\]: .*\n/m)})
      const names = [there, here].map((directory) =>
        readdirSync(directory, {recursive: true, encoding: 'utf8'}).filter((name) => !/(?:^|\/)\./.test(name)),
      )
      expect(names.map((all) => all.toSorted().filter((name) => name !== 'sent-tree'))).toEqual([['big', 'tree', 'tree/big'], []])
    },
  )

  test('ssh-config hands the same deadline to whoever reads it', async () => {
    const {stdout} = await runCommand('ssh-config', 'web')
    expect(stdout).toMatch(/\n {2}ServerAliveInterval 10\n {2}ServerAliveCountMax 3\n/)
  })
})
