import {describe, expect, test} from 'vitest'

import {missingProgram} from '../../test/support/programs.ts'
import {startRunningProject} from '../../test/support/project.ts'
import {useShared} from '../../test/support/shared.ts'
import {fakeServer, sshdMissing} from '../../test/support/sshd.ts'
import {leftOn, onTerminal, type OnTerminal, screenFrom, type TerminalOptions} from '../../test/support/terminal.ts'

const missing = sshdMissing() ?? missingProgram('python3', ['-c', 'import pty'])

describe.skipIf(missing)(`vmctl on a terminal${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
  const project = useShared(startRunningProject)
  const run = (words: readonly string[], keys: TerminalOptions['keys'] = []): Promise<OnTerminal> =>
    onTerminal(project.workspace.directory, words, {keys})

  test.each([
    ['exec', ['exec', 'web', 'sh', '-c', 'sleep 1; echo started; sleep 2; echo ended']],
    ['ssh', ['ssh', 'web', '--', 'sleep 1; echo started; sleep 2; echo ended']],
  ])('%s: from the moment that the program runs nothing of ours is drawn', async (_what, words) => {
    const ran = await run(words)
    expect(ran.exitCode).toBe(0)
    expect(leftOn(ran)).toBe('started\nended')
    expect(screenFrom(ran, 'started')).toBe('started\r\nended\r\n')
  })

  test('a shell by ssh is clean, and the cursor is there while it waits for a command', async () => {
    const ran = await run(
      ['ssh', 'web'],
      [
        {after: '$', type: 'echo a$((40+2))b; exit 3\r'},
        {after: '#', type: 'echo a$((40+2))b; exit 3\r'},
      ].slice(process.getuid?.() === 0 ? 1 : 0, process.getuid?.() === 0 ? 2 : 1),
    )
    expect(ran.exitCode).toBe(3)
    leftOn(ran)
    const shell = ran.screen.slice(ran.screen.indexOf('a42b'))
    expect(ran.screen.slice(0, ran.screen.indexOf('a42b'))).not.toMatch(/starting services.* 1 s/)
    expect(shell).not.toMatch(/connecting|logging in|starting services/)
  })

  test('Ctrl+C in a program is its own: status 130, and nothing of ssh remains', async () => {
    const ran = await run(['exec', 'web', 'sh', '-c', 'echo started; exec sleep 100'], [{after: 'started', type: '\u0003'}])
    expect(ran.exitCode).toBe(130)
    expect(leftOn(ran)).toBe('started\n^C')
  })

  test('a failure stands alone', async () => {
    const ran = await run(['ssh', 'ghost'])
    expect(ran.exitCode).toBe(3)
    expect(leftOn(ran)).toMatch(/^error\[vmctl::vm::not_found\]: .*\n {2}help: .*$/)
  })

  test('Ctrl+C while vmctl waits for a guest that says nothing', async () => {
    await using silent = await fakeServer(() => undefined)
    const port = process.env.VMCTL_NOOP_SSH
    process.env.VMCTL_NOOP_SSH = `127.0.0.1:${silent.port}`
    const ran = await run(['ssh', 'web'], [{after: 'connecting', type: '\u0003'}])
    process.env.VMCTL_NOOP_SSH = port
    expect(ran.exitCode).toBe(130)
    expect(leftOn(ran)).toMatch(/(?:^|\n|\^C)error\[vmctl::interrupted\]: Interrupted\.\n {2}help: .*$/)
  })

  test('with several VMs the lines of programs stand alone', async () => {
    const ran = await run(['exec', '--all', '--', 'sh', '-c', 'echo one; sleep 1; echo two'])
    expect(ran.exitCode).toBe(0)
    expect(leftOn(ran).split('\n').toSorted()).toEqual(['db  | one', 'db  | two', 'web | one', 'web | two'])
  })

  test('progress of up is gone at its end', async () => {
    const ran = await run(['provision', 'web'])
    expect(ran.exitCode).toBe(0)
    leftOn(ran)
  })
})
