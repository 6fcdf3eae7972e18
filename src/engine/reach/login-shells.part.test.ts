import {existsSync, mkdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {afterAll, afterEach, beforeAll, describe, expect, test} from 'vitest'

import {temporaryDirectory} from '../../../test/support/builders.ts'
import {makeContext} from '../../../test/support/guests.ts'
import {missingProgram} from '../../../test/support/programs.ts'
import {sshdMissing, startSshd, type TestSshd} from '../../../test/support/sshd.ts'
import {sshCandidates} from '../../guest/ssh/candidates.ts'
import {exec} from '../../guest/commands.ts'
import {probe} from '../../guest/health.ts'
import {connect, type ConnectOptions, type GuestConnection} from '../../guest/ssh/ssh.ts'
import {download, upload} from '../../guest/transfer.ts'
import {shellProvisioner} from '../../provision/steps/shell.ts'
import {downloadTree} from '../../provision/tree/tree-download.ts'
import {uploadTree} from '../../provision/tree/tree-upload.ts'
import {asGuest} from './session.ts'
import {loginShells} from '../../../test/support/shells.ts'

const missing = sshdMissing()

const open = async (sshd: TestSshd, change: Partial<ConnectOptions> = {}): Promise<GuestConnection> =>
  connect({
    stream: await sshd.dial(),
    user: sshd.user,
    auth: await sshCandidates({explicit: sshd.keyPath}),
    verifyHostKey: () => true,
    ...change,
  })

/** Every way in which vmctl works in a guest; each says what came of it. */
const expectUsable = async (sshd: TestSshd): Promise<void> => {
  const connection = await open(sshd)
  try {
    const guest = asGuest(connection)
    const local = temporaryDirectory()
    const there = join(temporaryDirectory(), 'guest')
    const source = join(local, 'tree')
    mkdirSync(join(source, 'sub'), {recursive: true})
    writeFileSync(join(source, 'sub', 'file'), 'content of the tree\n')
    writeFileSync(join(local, 'one'), `it's one!\n\\n`)

    expect(await exec(connection, `printf '%s\\n' "it's" 'a!b' 'c\\d' "$((1 + 1))"; echo err >&2; exit 3`)).toEqual({
      stdout: "it's\na!b\nc\\d\n2\n",
      stderr: 'err\n',
      exitCode: 3,
      signal: null,
    })
    expect(await exec(connection, 'cat', {stdin: 'input\n'})).toMatchObject({stdout: 'input\n', stderr: '', exitCode: 0})

    await upload(connection, join(local, 'one'), `${there}/one`)
    await download(connection, `${there}/one`, join(local, 'back'))
    expect(readFileSync(join(local, 'back'), 'utf8')).toBe(readFileSync(join(local, 'one'), 'utf8'))

    expect(await uploadTree(guest, {source, destination: `${there}/tree`})).toMatchObject({sent: 2})
    expect(await uploadTree(guest, {source, destination: `${there}/tree`}, {privileged: true, mirror: true})).toMatchObject({sent: 0})
    await downloadTree(guest, {source: `${there}/tree`, destination: join(local, 'copy')})
    expect(readFileSync(join(local, 'copy', 'sub', 'file'), 'utf8')).toBe('content of the tree\n')

    const script = join(local, 'script')
    writeFileSync(script, '#!/bin/sh\necho "$1 $V"\n')
    const steps = [
      {inline: 'echo "$V" $(echo two)', env: {V: `a b$c'!\\`}, is: `a b$c'!\\ two\n`},
      {inline: 'id -u', privileged: true, is: '0\n'},
      {script, args: [`x'y z!`], env: {V: 'v'}, is: `x'y z! v\n`},
    ]
    for (const {is, ...settings} of steps) {
      const context = makeContext(async () => guest)
      await shellProvisioner.run({args: [], env: {}, privileged: false, ...settings}, context)
      await context.tidy()
      expect({stdout: context.printed.stdout.toString(), stderr: context.printed.stderr.toString()}).toEqual({stdout: is, stderr: ''})
    }

    const {signal} = new AbortController()
    const check = {timeoutMs: 60_000, intervalMs: 1000, retries: 3, startPeriodMs: 0}
    expect(await probe(connection, {...check, test: {kind: 'shell', line: 'echo fine; exit 4'}}, {signal})).toMatchObject({
      exitCode: 4,
      output: 'fine',
    })
  } finally {
    connection.close()
  }
}

describe.skipIf(missing)(`login shells${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
  /** What sshd runs by the shell of the account: another shell, as if it were that of the account. */
  const withShell = (program: string) => startSshd({config: [`ForceCommand ${program} -c "$SSH_ORIGINAL_COMMAND"`]})

  test.each(loginShells.filter((shell) => missingProgram(shell, ['-c', 'true']) === undefined))('%s', async (shell) => {
    await using sshd = await withShell(shell)
    await expectUsable(sshd)
  })

  test.each([
    ['nologin', '/usr/sbin/nologin', /status 1\. It said:\n +This account is currently not available\./],
    ['one that says nothing', '/bin/false', /status 1\.$/],
    ['one that succeeds at everything', '/bin/true', /status 0\.$/],
    ['a password that has expired', `echo 'Password change required but no TTY available.' >&2; exit 1;`, /Password change required/],
  ])('%s is no shell, which is told with what it said', async (_what, command, message) => {
    await using sshd = await startSshd({config: [`ForceCommand ${command}`]})
    const connection = await open(sshd)
    await expect(connection.exec('true')).rejects.toMatchObject({code: 'vmctl::ssh::failed', message: expect.stringMatching(message)})
    connection.close()
  })
})

// The account that runs the tests has bash, and bash reads ~/.bashrc when sshd runs it.
const bash = missing ?? (process.env.SHELL === undefined || process.env.SHELL.endsWith('bash') ? undefined : 'the login shell is not bash')

describe.skipIf(bash)(`start-up files${bash === undefined ? '' : ` (skipped: ${bash})`}`, () => {
  let sshd: TestSshd
  beforeAll(async () => {
    sshd = await startSshd()
  })
  afterAll(() => sshd[Symbol.asyncDispose]())
  const write = (text: string): void => writeFileSync(join(sshd.directory, '.bashrc'), text)
  afterEach(() => rmSync(join(sshd.directory, '.bashrc')))

  test.each([
    ['say something on both outputs', 'echo welcome; echo warning >&2'],
    ['say something without a line end', 'printf welcome; printf warning >&2'],
    ['say 200 KB', 'head -c 200000 /dev/zero | tr "\\0" x; head -c 200000 /dev/zero | tr "\\0" y >&2'],
    ['set a PATH of their own', 'export PATH=/nonexistent'],
    ['have a word at the end', 'trap "echo bye; exit 9" EXIT'],
    ['go elsewhere', 'cd /proc'],
    [
      'make aliases and functions',
      'shopt -s expand_aliases; alias sh=false tar=false cat=false; printf() { :; }; tar() { :; }; export -f tar',
    ],
    ['export options', 'export TAR_OPTIONS=--nonsense POSIXLY_CORRECT=1 GREP_OPTIONS=-v GZIP=--nonsense CDPATH=/:/tmp QUOTING_STYLE=c'],
    ['export start-up files', 'echo echo noise >~/noise; export BASH_ENV=~/noise ENV=~/noise'],
    ['export a locale', 'export LC_ALL=C.UTF-8 LANG=C.UTF-8 LANGUAGE=de'],
    ['stop at the first failure', 'set -eu; set -o noclobber -o noglob'],
    ['lower the limits', 'ulimit -n 32; ulimit -u 500; ulimit -c 0; ulimit -s 1024'],
    ['take their time', 'sleep 0.1'],
  ])('that %s do not matter', async (_what, text) => {
    write(text)
    await expectUsable(sshd)
  })

  test('a shell that they end is told with what it said first', async () => {
    write('echo "disk quota exceeded"; echo more; exit 0')
    const connection = await open(sshd)
    await expect(connection.exec('true')).rejects.toMatchObject({
      message: expect.stringMatching(/does not run commands: it ended with status 0\. It said:\n +disk quota exceeded\n +more$/),
    })
    connection.close()
  })

  test('they do not get the input of the command; a shell that waits for it is told and given up', async () => {
    write(`read -r line; echo "$line" >${sshd.directory}/stolen`)
    const told: string[] = []
    const connection = await open(sshd, {shellMs: {slow: 50, limit: 1500}, onSlowShell: (message) => told.push(message)})
    await expect(connection.exec('cat', {stdin: 'precious\n'})).rejects.toMatchObject({
      message: expect.stringContaining('it did not come to them within 1.5 s'),
    })
    expect(told).toEqual([expect.stringContaining('has not run the command for')])
    expect(existsSync(join(sshd.directory, 'stolen')) && readFileSync(join(sshd.directory, 'stolen'), 'utf8')).not.toBe('precious\n')
    connection.close()
  })
})
