import {mkdirSync, readdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {afterAll, beforeAll, describe, expect, test} from 'vitest'

import {startImageServer} from '../../test/support/image-server.ts'
import {type Project, startProject} from '../../test/support/project.ts'
import {runCommand, spawnCommand} from '../../test/support/run-command.ts'
import {sshdMissing} from '../../test/support/sshd.ts'

const missing = sshdMissing()

const canaries = {
  TOKEN: 'canary-one-5f2d',
  QUOTED: `canary-two'"$(id)\\`,
  LINES: 'canary-three\nsecond canary-line',
  UTF: 'canary-fïve→日本',
}

/** Every part of a canary by which it would be known. */
const traces = Object.values(canaries).flatMap((value) => [value, ...value.split('\n'), Buffer.from(value).toString('base64')])

const seen = (text: string): string[] => traces.filter((trace) => text.includes(trace) || text.includes(JSON.stringify(trace).slice(1, -1)))

describe.skipIf(missing)(`secret-env${missing === undefined ? '' : ` (skipped: ${missing})`}`, {timeout: 60_000}, () => {
  let project: Project
  beforeAll(async () => {
    project = await startProject()
  })
  afterAll(() => project[Symbol.asyncDispose]())

  const text = (change = ''): string => {
    const pairs = Object.entries({...canaries, TOKEN: canaries.TOKEN + change})
      .map(([name, value]) => `${name} ${JSON.stringify(value)}`)
      .join('; ')
    const out = join(project.workspace.directory, 'got')
    const command = `umask 077; printf '%s|' "$TOKEN" "$QUOTED" "$LINES" "$UTF" >${out}; sleep 0.4; echo "<$TOKEN>"; echo "<$QUOTED>" >&2; echo "<$UTF>"; exit "$CODE"`
    return project.vm(
      'web',
      `  provision "shell" {\n inline ${JSON.stringify(command)}\n env CODE="0" STAGE="plain"\n secret-env { ${pairs}; }\n }`,
    )
  }

  /** What every process of this computer shows, and the environment of those that vmctl has started. */
  const watch = (): {end(): string} => {
    const found = new Set<string>()
    const own = new Set([String(process.pid)])
    const look = (): void => {
      for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
        try {
          found.add(readFileSync(`/proc/${pid}/cmdline`, 'utf8'))
          const parent = /^PPid:\t(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? ''
          const isOurs = own.has(parent) && !readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('sshd')
          if (!isOurs) continue
          own.add(pid)
          found.add(readFileSync(`/proc/${pid}/environ`, 'utf8'))
        } catch {
          // It has ended.
        }
      }
    }
    const timer = setInterval(look, 40)
    return {
      end() {
        clearInterval(timer)
        return [...found].join('\n')
      },
    }
  }

  const stateFiles = (): string =>
    readdirSync(project.workspace.stateDirectory, {recursive: true, encoding: 'utf8', withFileTypes: true})
      .filter((entry) => entry.isFile())
      .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1') + readFileSync(join(entry.parentPath, entry.name), 'utf8'))
      .join('\n')

  test('reaches the step, and nothing else: no argv, no environment of ours, no log, no JSON, no file', async () => {
    writeFileSync(project.path, text())
    mkdirSync(project.workspace.stateDirectory, {recursive: true})
    const watching = watch()
    const ran = await spawnCommand(['up', '--file', project.path], {env: {VMCTL_LOG: 'trace'}})
    const processes = watching.end()
    expect(ran).toMatchObject({exitCode: 0})
    expect(readFileSync(join(project.workspace.directory, 'got'), 'utf8')).toBe(`${Object.values(canaries).join('|')}|`)
    expect(ran.stdout).toMatch(/<\*+>\n<\*+>\n/)
    expect(processes).toContain(project.path)
    expect({processes: seen(processes), stdout: seen(ran.stdout), stderr: seen(ran.stderr), state: seen(stateFiles())}).toEqual({
      processes: [],
      stdout: [],
      stderr: [],
      state: [],
    })
    expect(stateFiles()).toContain('"TOKEN": "***"')
  })

  test('a changed secret is a changed step, told without its value; a failure shows none either', async () => {
    for (const words of [['plan'], ['validate'], ['up', '--json'], ['status', 'web', '--json'], ['log', 'web', '--provision']]) {
      const ran = words[1] === 'web' ? await runCommand(...words) : await project.run(text('-changed'), ...words)
      expect(ran.exitCode, words.join(' ')).toBe(0)
      expect(seen(ran.stdout + ran.stderr), words.join(' ')).toEqual([])
      if (words[0] === 'plan') expect(ran.stdout).toContain('changed')
    }
    const failing = await project.run(text('-again').replace('CODE="0"', 'CODE="7"'), 'up', '--json')
    expect(failing.exitCode).toBe(6)
    expect(failing.json.error.message).toMatch(/<\*+>/)
    expect(seen(failing.stdout + failing.stderr + stateFiles())).toEqual([])
  })

  test('is taken from a variable or a file of this computer, and what is not there is told with its place', async () => {
    const got = join(project.workspace.directory, 'taken')
    project.workspace.write('secret.txt', `${canaries.QUOTED}\n`)
    const taking = (from: string): string =>
      project.vm(
        'taker',
        `  provision "shell" {\n inline "umask 077; printf '%s|' \\"$A\\" \\"$B\\" \\"$C\\" >${got}; sleep 0.4"\n secret-env {\n A from-env="VMCTL_TEST_SECRET"\n B from-file="${from}"\n C "${canaries.UTF}"\n }\n }`,
      )
    writeFileSync(project.path, taking('secret.txt'))
    const watching = watch()
    const ran = await spawnCommand(['up', '--file', project.path], {env: {VMCTL_LOG: 'trace', VMCTL_TEST_SECRET: canaries.TOKEN}})
    const processes = watching.end()
    expect(ran).toMatchObject({exitCode: 0})
    expect(readFileSync(got, 'utf8')).toBe(`${canaries.TOKEN}|${canaries.QUOTED}|${canaries.UTF}|`)
    // The environment of vmctl itself aside, which was given the variable.
    const own = processes.split('\n').filter((part) => !part.includes('VMCTL_TEST_SECRET='))
    expect({own: seen(own.join('\n')), told: seen(ran.stdout + ran.stderr + stateFiles())}).toEqual({own: [], told: []})

    delete process.env.VMCTL_TEST_SECRET
    const refused = await project.run(taking('none.txt'), 'plan')
    expect(refused.exitCode).toBe(2)
    expect(refused.stderr).toContain('the environment variable "VMCTL_TEST_SECRET" is not set')
    expect(refused.stderr).toContain('secret file "none.txt" does not exist')
    expect(refused.stderr).toMatch(/VMFile\.kdl:\d+:\d+/)
    expect(await project.run(undefined, 'down')).toMatchObject({exitCode: 0})
  })

  test('the password and the query of an image URL reach its server, and nothing else', async () => {
    await using server = await startImageServer()
    server.files.set('/disk.qcow2', {content: readFileSync(project.workspace.image)})
    const vmfile = (query: string): string => {
      const url = `${server.origin.replace('//', '//me:canary-password@')}/disk.qcow2?token=canary-${query}`
      return project.vm('url', '').replace('image "base.qcow2"', `image-url "${url}"`)
    }
    const outputs: string[] = []
    const tell = async (file: string | undefined, ...words: readonly string[]): Promise<string> => {
      const {stdout, stderr, exitCode} = await project.run(file, ...words)
      expect(exitCode, stderr).toBe(0)
      outputs.push(stdout, stderr)
      return stdout + stderr
    }
    await tell(vmfile('one'), 'up', '--json')
    expect(server.requests[0]?.headers.authorization).toBe(`Basic ${Buffer.from('me:canary-password').toString('base64')}`)
    expect(await tell(undefined, 'plan')).toContain('is already running')
    await tell(undefined, 'down')
    await tell(undefined, 'up')
    expect(await tell(undefined, 'plan')).toContain('is already running')
    expect(await tell(vmfile('two'), 'plan')).toContain('needs `vmctl reload')
    for (const words of [
      ['status', 'url', '--json'],
      ['list', '--json'],
      ['image', 'list', '--json'],
    ]) {
      const {stdout, stderr} = await runCommand(...words)
      outputs.push(stdout, stderr)
    }
    server.files.delete('/disk.qcow2')
    const failed = await project.run(vmfile('three'), 'reload')
    expect(failed.exitCode).toBe(4)
    outputs.push(failed.stdout, failed.stderr, stateFiles())
    expect(outputs.filter((output) => output.includes('canary-'))).toEqual([])
    await project.run(undefined, 'down', '--destroy')
  })

  test('a variable cannot be secret and not secret', async () => {
    const ran = await project.run(text().replace('STAGE="plain"', 'TOKEN="plain"'), 'validate')
    expect(ran).toMatchObject({exitCode: 2, stderr: expect.stringContaining('"TOKEN" is given twice')})
  })
})
