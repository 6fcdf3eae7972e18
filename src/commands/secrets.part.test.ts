import {createHash} from 'node:crypto'
import {mkdirSync, readdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {expect, test} from 'vitest'

import {startImageServer} from '../../test/support/image-server.ts'
import {describeUnless} from '../../test/support/programs.ts'
import {startProject} from '../../test/support/project.ts'
import {useShared} from '../../test/support/shared.ts'
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

describeUnless(missing)('secret-env', {timeout: 240_000}, () => {
  const project = useShared(startProject)

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

  /** What every process of the host shows, and the environment of those that vmctl has started. */
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

  test('is taken from a variable or a file of the host, and what is not there is told with its place', async () => {
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

  test('twenty canaries, wherever a secret can be given, are in no argv, environment, output, error and state file', async () => {
    const planted = {
      // Values of steps.
      inline: 'canary-01-inline',
      second: `canary-02-'"$(id)`,
      variable: 'canary-03-variable',
      file: 'canary-04-file',
      // Of image URLs, and of where they lead.
      urlUser: 'canary-05-user',
      urlPassword: 'canary-06-password',
      urlQuery: 'canary-07-query',
      sumsPassword: 'canary-08-sums',
      sumsQuery: 'canary-09-sums',
      redirectPassword: 'canary-10-redirect',
      redirectQuery: 'canary-11-redirect',
      failingPassword: 'canary-12-failing',
      failingQuery: 'canary-13-failing',
      // Of the guest.
      login: 'canary-14-login',
      userData: 'canary-15-user-data',
      // In the environment of the user.
      proxy: 'canary-16-proxy',
      github: 'canary-17-github',
      cloud: 'canary-18-cloud',
      sshpass: 'canary-19-sshpass',
      // The middle of the user's private key.
      key: readFileSync(project.sshd.keyPath, 'utf8').split('\n').slice(2, -2).join('\n').slice(0, 60),
    }
    expect(Object.keys(planted)).toHaveLength(20)
    const find = (where: string, except: readonly string[] = []): string[] =>
      Object.entries(planted)
        .filter(
          ([name, value]) => !except.includes(name) && [value, Buffer.from(value).toString('base64')].some((form) => where.includes(form)),
        )
        .map(([name]) => name)
    const environment = {
      VMCTL_LOG: 'trace',
      VMCTL_TEST_CANARY: planted.variable,
      https_proxy: `http://me:${planted.proxy}@127.0.0.1:9`,
      GITHUB_TOKEN: planted.github,
      AWS_SECRET_ACCESS_KEY: planted.cloud,
      SSHPASS: planted.sshpass,
    }
    const usersOwn = ['proxy', 'github', 'cloud', 'sshpass']

    await using server = await startImageServer()
    const disk = readFileSync(project.workspace.image)
    const host = server.origin.replace('http://', '')
    server.files.set('/disk.qcow2', {
      content: disk,
      redirectsTo: `http://r:${planted.redirectPassword}@${host}/real?t=${planted.redirectQuery}`,
    })
    server.files.set('/real', {content: disk})
    server.files.set('/SUMS', {content: Buffer.from(`${createHash('sha256').update(disk).digest('hex')}  disk.qcow2\n`)})
    project.workspace.write('token.txt', planted.file)
    project.workspace.write('user-data.yaml', `#cloud-config\nwrite_files: [{path: /token, content: ${planted.userData}}]\n`)
    const got = join(project.workspace.directory, 'many')
    const command = (exit: number): string =>
      `umask 077; printf '%s|' "$A" "$B" "$C" "$D" >${got}; sleep 0.3; echo "$A $B"; echo "$C $D" >&2; exit ${exit}`
    const vmfile = (exit: number, path = 'disk.qcow2'): string =>
      project
        .vm(
          'many',
          `  provision "shell" {
    inline ${JSON.stringify(command(exit))}
    secret-env { A "${planted.inline}"; B ${JSON.stringify(planted.second)}; C from-env="VMCTL_TEST_CANARY"; D from-file="token.txt"; }
  }`,
        )
        .replace(
          'image "base.qcow2"',
          () =>
            `image-url "http://${planted.urlUser}:${planted.urlPassword}@${host}/${path}?t=${planted.urlQuery}" { checksum-url "http://me:${planted.sumsPassword}@${host}/SUMS?t=${planted.sumsQuery}"; }`,
        )
    const told: string[] = []
    const watching = watch()
    const tell = async (words: readonly string[], exitCode: number): Promise<void> => {
      const {stdout, stderr, exitCode: status} = await spawnCommand(words, {cwd: project.workspace.directory, env: environment})
      expect(status, `${words.join(' ')}\n${stdout}${stderr}`).toBe(exitCode)
      told.push(stdout, stderr)
    }
    writeFileSync(project.path, vmfile(0))
    await tell(['up'], 0)
    expect(readFileSync(got, 'utf8')).toBe(`${[planted.inline, planted.second, planted.variable, planted.file].join('|')}|`)
    writeFileSync(project.path, vmfile(7))
    await tell(['plan', '--json'], 0)
    await tell(['up', '--json'], 6)
    for (const words of [
      ['status', 'many', '--json'],
      ['list', '--json'],
      ['log', 'many', '--provision'],
      ['image', 'list', '--json'],
    ]) {
      const {stdout, stderr} = await spawnCommand(words, {env: environment})
      told.push(stdout, stderr)
    }
    writeFileSync(project.path, vmfile(0, 'gone.qcow2'))
    await tell(['reload'], 4)
    const withLogin = `  cloud-init { user-data "user-data.yaml"; merge #true; password "${planted.login}"; }`
    writeFileSync(project.path, project.vm('cloud', withLogin))
    await tell(['up', '--no-provision', '--json'], 0)
    await tell(['plan'], 0)
    await tell(['status', 'cloud', '--json'], 0)
    const processes = watching.end()
    await tell(['image', 'pull', `http://me:${planted.failingPassword}@${host}/none?t=${planted.failingQuery}`], 4)
    expect(find(told.join('\n'))).toEqual([])
    // The user's own variables belong to the programs that vmctl waits for; the secret of a step and all else do not.
    expect(find(processes.replaceAll(`VMCTL_TEST_CANARY=${planted.variable}`, ''), usersOwn)).toEqual([])

    // Only the seed has what the guest is to know.
    const seeds: string[] = []
    const others: string[] = []
    for (const entry of readdirSync(project.workspace.stateDirectory, {recursive: true, encoding: 'utf8', withFileTypes: true})) {
      if (!entry.isFile()) continue
      const isSeed = entry.name.startsWith('seed')
      ;(isSeed ? seeds : others).push(readFileSync(join(entry.parentPath, entry.name), 'latin1'))
    }
    expect(others.join('\n')).toContain('user-data.yaml')
    expect(find(others.join('\n'))).toEqual([])
    expect(find(seeds.join('\n'), ['userData'])).toEqual([])
    for (const name of ['many', 'cloud']) expect((await runCommand('destroy', name)).exitCode).toBe(0)
  }, 120_000)

  test('a variable cannot be secret and not secret', async () => {
    const ran = await project.run(text().replace('STAGE="plain"', 'TOKEN="plain"'), 'validate')
    expect(ran).toMatchObject({exitCode: 2, stderr: expect.stringContaining('"TOKEN" is given twice')})
  })
})
