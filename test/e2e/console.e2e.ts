import {setTimeout as sleep} from 'node:timers/promises'

import {expect, inject} from 'vitest'

import {missingProgram} from '../support/programs.ts'
import {leftOn, onTerminal as onPty, type OnTerminal, screenFrom, type TerminalOptions} from '../support/terminal.ts'
import {eventually, inline, microVm} from '../support/vm-guests.ts'
import {expectFailure, expectSuccess, type Running, vmctlProgram} from '../support/vm-lab.ts'
import {needs, scenario} from '../support/vm-scenario.ts'

/** The serial console and one-off VMs on a real terminal, and the logs. */
const {lab, step, check} = scenario('console', {missing: needs('script', 'stty') ?? missingProgram('python3', ['-c', 'import pty'])})

const onTerminal = (words: readonly string[], keys: TerminalOptions['keys'] = []): Promise<OnTerminal> =>
  onPty(lab.project, words, {keys, program: [vmctlProgram], env: lab.env, timeoutMs: 140_000})

/** Runs a shell command line on a terminal of its own; what is typed goes to the terminal. */
const onLine = (commandLine: string): Running =>
  lab.start([commandLine], {program: ['script', '-qefc', commandLine, '/dev/null'], env: {TERM: 'xterm'}})
const consoleCommand = `'${process.execPath}' '${vmctlProgram}' console web`

step('a VM with a shell on its serial line is up', async () => {
  lab.vmfile(microVm('web', inline('for n in 1 2 3 4 5; do echo provisioned-$n; done; echo to-err >&2')))
  await lab.ok('up')
})

check('what is typed gets its answer, Ctrl+C goes to the guest, Ctrl+] detaches and restores the terminal', async () => {
  const terminal = onLine(
    `stty -a > ${lab.root}/before; ${consoleCommand}; echo "status $?"; stty -a > ${lab.root}/after; cmp ${lab.root}/before ${lab.root}/after && echo restored`,
  )
  await eventually(() => expect(terminal.written.stdout).toContain('Connected to the console of web'))
  terminal.type('\r')
  terminal.type('echo $((20 + 22))-answer\r')
  await eventually(() => expect(terminal.written.stdout).toContain('42-answer'))
  terminal.type('echo $((1 + 1))-sleeps; sleep 1000\r')
  await eventually(() => expect(terminal.written.stdout).toContain('2-sleeps'))
  // The shell of the guest must have given the line back before the line can make an interrupt of the key.
  await sleep(500)
  terminal.type('\x03')
  terminal.type('echo $((40 + 3))-answer\r')
  await eventually(() => expect(terminal.written.stdout).toContain('43-answer'))
  terminal.type('\x1d')
  const {stdout} = await terminal.outcome
  expect(stdout).toContain('Detached.')
  expect(stdout).toContain('status 0')
  expect(stdout).toContain('restored')
})

check('a console on a terminal: what it says, what the guest writes, and nothing else', async () => {
  const ran = await onTerminal(
    ['console', 'web'],
    [
      {after: 'Ctrl+] detaches.', type: '\recho $((50 + 4))-answer\r'},
      {after: '54-answer', type: '\x1d'},
    ],
  )
  expect(ran.exitCode).toBe(0)
  const lines = leftOn(ran).split('\n')
  expect([lines.at(0), lines.at(-1)]).toEqual(['Connected to the console of web. Ctrl+] detaches.', 'Detached.'])
  expect(screenFrom(ran, 'Connected')).not.toMatch(/web: /)
})

check(
  'run on a terminal: a shell in a new VM, in which Ctrl+C is its own, and from its first prompt on nothing of ours is drawn',
  async () => {
    const ran = await onTerminal(
      ['run', '--rm', '--user', 'dev', inject('micro')],
      [
        // One line, shorter than the terminal: what is typed while a shell comes back from Ctrl+C is echoed now here, now there. Short
        // sleeps: a Ctrl+C that comes just before a sleep begins is seen after it.
        {after: '$ ', type: `sh -c 'trap "exit 3" INT; echo a$((6*7))b; while :; do sleep 1; done';exit\r`},
        {after: 'a42b\r\n', type: '\u0003'},
      ],
    )
    expect(ran.exitCode).toBe(3)
    expect(leftOn(ran)).toMatch(/:~\$ sh -c .*;exit\na42b\n\^C(?:\n?logout)?$/)
    expect(screenFrom(ran, '$ sh')).not.toMatch(/waiting|logged in|\u001b\[1G/)
    expect(await lab.json('list')).toMatchObject({vms: [{name: 'web'}]})
  },
)

check('what was typed before Ctrl+] in the same write still reaches the guest', async () => {
  const terminal = onLine(consoleCommand)
  await eventually(() => expect(terminal.written.stdout).toContain('Connected'))
  terminal.type('touch /tmp/typed\r\x1d')
  expectSuccess(await terminal.outcome)
  await eventually(async () => expect(await lab.guest('web', 'ls /tmp/typed')).toBe('/tmp/typed'))
})

check('a second console is refused and told who has it; after the first one it is free', async () => {
  const first = lab.start(['console', 'web'])
  await eventually(() => expect(first.written.stderr).toContain('Connected'))
  const second = expectFailure(await lab.vmctl('console', 'web'), 5, 'vmctl::vm::locked')
  expect(second.stderr).toContain(`vmctl console web (process ${first.pid})`)
  first.kill('SIGKILL')
  await first.outcome
  const third = lab.start(['console', 'web'])
  await eventually(() => expect(third.written.stderr).toContain('Connected'))
  third.type('\x1d')
  expectSuccess(await third.outcome)
})

check('log shows both logs, or the one that is asked for, or its last lines', async () => {
  const both = await lab.ok('log', 'web')
  expect(both.stdout).toMatch(/^=== console log \(.*console\.log\) ===$/m)
  expect(both.stdout).toMatch(/^=== provision log \(.*provision\.log\) ===$/m)
  const provision = await lab.ok('log', 'web', '--provision')
  expect(provision.stdout).toBe(lab.read('web', 'provision.log'))
  expect(provision.stdout).toContain('to-err')
  const tail = await lab.ok('log', 'web', '--provision', '--tail', '2')
  expect(tail.stdout).toBe(`${lab.read('web', 'provision.log').trimEnd().split('\n').slice(-2).join('\n')}\n`)
  expect((await lab.ok('log', 'web', '--console')).stdout).toContain('42-answer')
  expectFailure(await lab.vmctl('log', 'wep'), 3, 'vmctl::vm::not_found')
})

check('log -f goes on with what is appended until Ctrl+C', async () => {
  const follower = lab.start(['log', 'web', '--provision', '-f', '--tail', '1'])
  lab.vmfile(microVm('web', inline('for n in 1 2 3; do echo followed-$n; sleep 0.3; done')))
  const up = lab.start(['up'])
  await eventually(() => expect(follower.written.stdout).toContain('followed-1'), {everyMs: 20})
  expect(up.written.stdout).not.toContain('followed-3')
  expectSuccess(await up.outcome)
  await eventually(() => expect(follower.written.stdout).toContain('followed-3'))
  follower.kill('SIGINT')
  expect([0, 130]).toContain((await follower.outcome).exitCode)
})

check('when the VM ends, the console ends', async () => {
  const console = lab.start(['console', 'web'])
  await eventually(() => expect(console.written.stderr).toContain('Connected'))
  await lab.ok('down')
  expect(expectSuccess(await console.outcome).stderr).toContain('The console was closed.')
  expect(lab.read('web', 'console.log')).not.toBe('')
})
