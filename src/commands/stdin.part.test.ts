import {spawn} from 'node:child_process'
import {createHash, randomBytes} from 'node:crypto'
import {once} from 'node:events'
import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {text} from 'node:stream/consumers'

import {describe, expect, test} from 'vitest'

import {startRunningProject} from '../../test/support/project.ts'
import {useShared} from '../../test/support/shared.ts'
import {runShell, vmctlWords} from '../../test/support/run-command.ts'
import {sshdMissing} from '../../test/support/sshd.ts'

const missing = sshdMissing()

describe.skipIf(missing)(`standard input${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
  const project = useShared(startRunningProject)

  const bytes = randomBytes(5_000_000)
  const digest = createHash('sha256').update(bytes).digest('hex')
  const input = (): string => {
    const path = join(project.workspace.directory, 'input')
    writeFileSync(path, bytes)
    return path
  }
  const sh = (line: string) => runShell(line, {cwd: project.workspace.directory})

  test.each([
    ['a file', 'vmctl exec web -- sha256sum <"$INPUT"'],
    ['a pipe', 'cat "$INPUT" | vmctl exec web -- sha256sum'],
    ['a pipe that is slow to begin', '{ sleep 1; cat "$INPUT"; } | vmctl exec web -- sha256sum'],
    ['ssh', 'cat "$INPUT" | vmctl ssh web -- sha256sum'],
  ])('every byte of %s reaches the program', async (_what, line) => {
    const {stdout, stderr, exitCode} = await runShell(line, {cwd: project.workspace.directory, env: {INPUT: input()}})
    expect({stdout, stderr, exitCode}).toEqual({stdout: `${digest}  -\n`, stderr: '', exitCode: 0})
  })

  test('with several VMs, and with --json, each program gets all of it', async () => {
    const all = await runShell('vmctl exec --all -- sha256sum <"$INPUT"', {env: {INPUT: input()}})
    expect(all.stdout.split('\n').toSorted()).toEqual(['', `db  | ${digest}  -`, `web | ${digest}  -`])
    const {json} = await sh('echo hello | vmctl exec --json web -- grep -q hello')
    expect(json).toEqual({vms: [{name: 'web', exitCode: 0}]})
    expect((await sh('echo hello | vmctl exec --json web -- grep -q other')).json).toEqual({vms: [{name: 'web', exitCode: 1}]})
  })

  test.each([
    ['/dev/null', '</dev/null'],
    ['a closed descriptor', '<&-'],
    ['a file that is empty', `<"$EMPTY"`],
  ])('%s is empty input', async (_what, redirection) => {
    const empty = join(project.workspace.directory, 'empty')
    writeFileSync(empty, '')
    for (const words of ['exec web --', 'exec --all --', 'ssh web --']) {
      const {stdout, exitCode} = await runShell(`vmctl ${words} wc -c ${redirection}`, {env: {EMPTY: empty}})
      expect({stdout: stdout.replaceAll(/^\w+ +\| /gm, '').split('\n')[0], exitCode}).toEqual({stdout: '0', exitCode: 0})
    }
  })

  test('a program that ends while its input stays open is not waited for', async () => {
    for (const words of [['exec', 'web', 'true'], ['exec', '--all', '--', 'true'], ['ssh', 'web', '--', 'exit 0'], ['list']]) {
      const child = spawn(process.execPath, [...vmctlWords, ...words], {stdio: ['pipe', 'pipe', 'inherit']})
      await text(child.stdout)
      expect([words, child.exitCode ?? (await once(child, 'exit'))[0]]).toEqual([words, 0])
      child.stdin.end()
    }
  })

  test('a command that takes names does not take one from its input', async () => {
    for (const words of ['destroy', 'console', 'cp']) {
      const {exitCode, stdout} = await sh(`echo web | vmctl ${words}; echo "status $?"`)
      expect({exitCode, stdout}).toEqual({exitCode: 0, stdout: 'status 2\n'})
    }
    expect((await sh('vmctl list --json')).json).toMatchObject({vms: [{name: 'db'}, {name: 'web'}]})
  })
})
