import {rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {beforeEach, describe, expect, test} from 'vitest'

import {missingProgram} from '../../test/support/programs.ts'
import {startProject} from '../../test/support/project.ts'
import {useShared} from '../../test/support/shared.ts'
import {vmctlWords} from '../../test/support/run-command.ts'
import {sshdMissing} from '../../test/support/sshd.ts'
import {leftOn, onTerminal, type OnTerminal, type TerminalOptions} from '../../test/support/terminal.ts'

const missing = sshdMissing() ?? missingProgram('python3', ['-c', 'import pty'])

const withoutTimes = (text: string): string => text.replaceAll(/\d+(?:\.\d)? s/g, 'TIME').replaceAll(/ +TIME$/gm, ' TIME')

// oxlint-disable-next-line no-control-regex -- What a terminal is told by.
const withoutControls = (text: string): string => text.replaceAll(/\u001b\[[?\d;]*[A-Za-z]/g, '')

/** What was drawn, one list of lines for each time that the rows were. */
const framesOf = (screen: string): readonly (readonly string[])[] =>
  screen
    .split('\u001b[?7l')
    .slice(1)
    .map((frame) =>
      withoutControls(frame.slice(0, frame.indexOf('\u001b[?7h')))
        .trimEnd()
        .split(/\r*\n/),
    )

describe.skipIf(missing)(`rows of vmctl up on a terminal${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
  const project = useShared(startProject)
  beforeEach(() => rmSync(join(project.workspace.stateDirectory, 'vms'), {recursive: true, force: true}))

  const up = (text: string, options: TerminalOptions = {}): Promise<OnTerminal> => {
    writeFileSync(project.path, text)
    return onTerminal(project.workspace.directory, ['up'], options)
  }
  const step = (command: string): string => project.inline(command)
  const stack = (): string =>
    `${project.vm('db', step('echo from db; sleep 1'))}${project.vm('web', `  depends-on "db" condition="provisioned"\n${step('echo from web')}`)}`

  test('each VM has one from the start, which stays with what has become of it; below stand the sum and what to do next', async () => {
    const ran = await up(stack())
    expect(ran.exitCode).toBe(0)
    const left = withoutTimes(leftOn(ran)).split('\n')
    expect(left.slice(-4)).toEqual([
      '✔ db   up  booted in TIME, steps took TIME TIME',
      '✔ web  up  booted in TIME, steps took TIME TIME',
      '2 VMs up in TIME',
      'Next: vmctl ssh db',
    ])
    expect(left.filter((line) => line.includes('| from'))).toEqual(['db  | from db', 'web | from web'])
    const frames = framesOf(ran.screen)
    expect(frames[0]).toEqual([expect.stringMatching(/^. db/), '· web  waiting for db to be provisioned'])
    expect(frames.flat()).toContainEqual(expect.stringMatching(/^[⠋-⠿] db {3}step 1 of 1: inline: echo from db; sleep 1 +\d s$/))
    expect(new Set(frames.map(({length}) => length))).toEqual(new Set([2]))
  })

  test('what has failed is a row to the end, and so is what was not begun for it', async () => {
    const ran = await up(
      `${project.vm('db', step('echo oops >&2; exit 3'))}${project.vm('web', '  depends-on "db" condition="provisioned"')}${project.vm('mail')}`,
    )
    expect(ran.exitCode).toBe(6)
    const left = withoutTimes(leftOn(ran))
    expect(left).toMatch(/^✘ db {4}failed {2}step 1 \(inline: echo oops >&2; exit 3\) ended with exit co.*… TIME$/m)
    expect(left).toMatch(/^✘ web {3}not begun {2}web was left alone, because it waits until db is provisioned, and db f.*$/m)
    expect(left).toMatch(/^✔ mail {2}up {2}booted in TIME TIME$/m)
    expect(left).toMatch(/^error\[vmctl::vms::failed\]: 2 of 3 VMs failed after TIME: db, web\.$/m)
    expect(left).toMatch(/^db {3}\| oops$/m)
  })

  test('a VM that is alone and fails', async () => {
    const ran = await up(project.vm('web', step('exit 3')))
    expect(ran.exitCode).toBe(6)
    expect(withoutTimes(leftOn(ran))).toMatch(/^✘ web {2}failed TIME\nerror\[vmctl::provision::failed\]: /m)
  })

  test('Ctrl+C: which VM it has met, and which was not begun', async () => {
    const ran = await up(
      `${project.vm('db', step('echo started; sleep 60'))}${project.vm('web', '  depends-on "db" condition="provisioned"')}`,
      {
        keys: [{after: '| started', type: '\u0003'}],
      },
    )
    expect(ran.exitCode).toBe(130)
    const left = withoutTimes(leftOn(ran))
    expect(left).toMatch(/^✘ db {3}interrupted TIME\n· web {2}not begun\nerror\[vmctl::interrupted\]: Interrupted\.\n.*$/m)
  })

  test('a second Ctrl+C leaves the rows as they are, and its words below them', async () => {
    const ran = await up(
      `${project.vm('db', step("trap '' TERM; echo started; sleep 20"))}${project.vm('web', '  depends-on "db" condition="provisioned"')}`,
      {
        keys: [
          {after: '| started', type: '\u0003'},
          {after: 'A second Ctrl+C', type: '\u0003'},
        ],
      },
    )
    expect(ran.exitCode).toBe(130)
    expect(withoutTimes(leftOn(ran))).toMatch(
      /^✘ db {3}interrupted TIME\n· web {2}not begun\nLeft at once\. A step may go on in its guest/m,
    )
  })

  test('another width: no line is longer, and there are no more rows than VMs', async () => {
    const ran = await up(
      `${project.vm('db', step('echo started; sleep 3'))}${project.vm('web', '  depends-on "db" condition="provisioned"')}`,
      {
        keys: [
          {after: '| started', columns: 40},
          {after: '⠙', columns: 24},
          {after: '⠙', columns: 140},
          {after: '⠙', columns: 60},
        ],
      },
    )
    expect(ran.exitCode).toBe(0)
    const widths = framesOf(ran.screen).map((lines) => Math.max(...lines.map(({length}) => length)))
    expect(new Set(widths.filter((width) => width > 0))).toEqual(new Set([99, 39, 23, 120, 59]))
    expect(
      withoutTimes(leftOn(ran))
        .split('\n')
        .filter((line) => /^[✔·⠋-⠿]/.test(line)),
    ).toEqual(['✔ db   up  booted in TIME, steps took TIME TIME', '✔ web  up  booted in TIME TIME'])
  })

  test('Ctrl+Z leaves the terminal in order; continued, the rows are there again', async () => {
    const ran = await up(project.vm('web', step('echo started; sleep 3')), {
      keys: [
        {after: '\nstarted', type: '\u001a'},
        {after: '\u001b[?25h', signal: 'SIGCONT'},
      ],
    })
    expect(ran.exitCode).toBe(0)
    const stopped = ran.screen.indexOf('\u001b[J\u001b[?25h', ran.screen.indexOf('^Z'))
    expect(stopped).toBeGreaterThan(0)
    expect(framesOf(ran.screen.slice(stopped)).flat()).toContainEqual(expect.stringMatching(/^. web {2}step 1 of 1/))
    expect(withoutTimes(leftOn(ran))).toMatch(/^✔ web {2}up {2}booted in TIME, steps took TIME TIME\nweb up in TIME$/m)
  })

  test('standard output in a pipe, as with `| tee log`: lines, which nothing can write into', async () => {
    const piped = `const {spawn} = require('node:child_process')
      const child = spawn(process.execPath, process.argv.slice(1), {stdio: ['inherit', 'pipe', 'inherit']})
      child.stdout.pipe(process.stdout)
      child.on('exit', (code) => (process.exitCode = code))`
    const ran = await up(project.vm('web', step('echo from web')), {program: ['-e', piped, '--', ...vmctlWords]})
    expect(ran.exitCode).toBe(0)
    expect(framesOf(ran.screen)).toEqual([])
    expect(leftOn(ran)).toMatch(/^\[ *\d+\.\ds\] web: step 1 of 1: inline: echo from web\nfrom web\n/m)
  })

  test.each([
    ['NO_COLOR: rows, in one colour', {NO_COLOR: '1'}, true, false],
    ['colours', {NO_COLOR: undefined}, true, true],
    ['CI: lines', {CI: '1'}, false, false],
    ['TERM=dumb: lines', {TERM: 'dumb'}, false, false],
  ])('%s', async (_what, set, hasRows, hasColours) => {
    const ran = await up(project.vm('web', step('echo from web')), {set})
    expect(ran.exitCode).toBe(0)
    expect(framesOf(ran.screen).length > 0).toBe(hasRows)
    // oxlint-disable-next-line no-control-regex -- What a terminal is told by.
    expect(/\u001b\[\d+m/.test(ran.screen)).toBe(hasColours)
    expect(/^\[ *\d+\.\ds\] web: created in /m.test(ran.screen)).toBe(!hasRows)
  })
})
