import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {appendFileSync, existsSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {afterAll, beforeAll, expect, test} from 'vitest'

import {describeUnless} from '../../test/support/programs.ts'
import {type Project, startProject} from '../../test/support/project.ts'
import {runShell, vmctlWords} from '../../test/support/run-command.ts'
import {sshdMissing} from '../../test/support/sshd.ts'

const missing = sshdMissing()

describeUnless(missing)('outputs that take nothing any longer', () => {
  let project: Project
  beforeAll(async () => {
    project = await startProject()
    const step = project.inline('seq 20000')
    expect(await project.run([project.vm('web', step), project.vm('db')].join(''), 'up')).toMatchObject({exitCode: 0})
    process.env.VMCTL_FILE = project.path
  })
  afterAll(async () => {
    delete process.env.VMCTL_FILE
    await project[Symbol.asyncDispose]()
  })
  const sh = (line: string) => runShell(line, {cwd: project.workspace.directory})

  test.each([
    '--help',
    '--version',
    'up --help',
    'list',
    'list --json',
    'ps',
    'image list',
    'doctor',
    'validate',
    'graph',
    'inspect web',
    'ssh-config',
    'log web',
    'log --provision',
    'log --json',
    'up',
    'plan',
  ])('the reader of `vmctl %s` has gone: a quiet end', async (words) => {
    const {stderr, stdout} = await sh(`vmctl ${words} 2>err | true; echo "$\{PIPESTATUS[0]}"; cat err >&2`)
    expect(stdout).toMatch(/^(?:0|141)\n$/)
    expect(stderr.replaceAll(/^\[ *\d+\.\ds\] \w+: is already running\n/gm, '')).toBe('')
  })

  test.each(['log web --provision --follow', 'log --follow', 'exec --all -- yes', 'exec web -- yes', 'ssh web -- yes'])(
    'the reader of `vmctl %s`, which has no end, goes in the middle: it ends too',
    async (words) => {
      const log = join(project.vmDirectory('web'), 'provision.log')
      const more = setInterval(() => appendFileSync(log, 'more\n'), 50)
      try {
        const {stdout} = await sh(`vmctl ${words} 2>err | head -2 | wc -l; echo "$\{PIPESTATUS[0]}"; grep -c at: err`)
        expect(stdout).toMatch(/^2\n\d+\n0\n$/)
      } finally {
        clearInterval(more)
      }
    },
  )

  test('a step goes on to its end when nobody reads what it prints, and is on record', async () => {
    const mark = join(project.workspace.directory, 'mark')
    writeFileSync(project.path, project.vm('late', project.inline(`seq 200000; touch ${mark}`)))
    const {stdout} = await sh(`vmctl up 2>err | head -1; echo "$\{PIPESTATUS[0]}"`)
    expect(stdout).toBe('1\n0\n')
    expect(existsSync(mark)).toBe(true)
    expect(readFileSync(join(project.vmDirectory('late'), 'provision.log'), 'utf8')).toContain('\n200000\n')
  })

  test.each(['--help', '--version', 'list', 'list --json', 'inspect web', 'log web --provision', 'exec --all -- echo x'])(
    'standard output of `vmctl %s` is full: an error with a code',
    async (words) => {
      writeFileSync(project.path, [project.vm('web'), project.vm('db')].join(''))
      const {stderr, stdout} = await sh(`vmctl ${words} >/dev/full; echo "status $?"`)
      expect(stderr).toMatch(/error\[vmctl::io\]: Cannot write to standard output: no space left on device\.\n {2}help: .*\n$/)
      expect(stderr).not.toContain('at ')
      expect(stdout).toMatch(/^status (?:4|141)\n$/)
    },
  )

  test('standard error that cannot be written does not change the status', async () => {
    const {stdout} = await sh(
      'vmctl status ghost 2>/dev/full; echo $?; vmctl list >/dev/full 2>/dev/full; echo $?; vmctl list 2>/dev/full; echo $?',
    )
    expect(stdout).toMatch(/^3\n4\n(?:.*\n)+0\n$/)
  })

  test.each([
    ['up', 0],
    ['exec web -- sh -c "echo out; echo err >&2; exit 7"', 7],
    ['exec --all -- sh -c "echo err >&2; exit 7"', 7],
    ['ssh web -- "echo err >&2; exit 7"', 7],
    ['cp "$PWD/VMFile.kdl" "web:$PWD/copied"', 0],
    ['plan --debug', 0],
    ['up --nonsense', 2],
  ])('standard error that is full, or closed, changes nothing for `vmctl %s`', async (words, status) => {
    writeFileSync(project.path, [project.vm('web', project.inline('echo err >&2')), project.vm('db')].join(''))
    const {stdout} = await sh(`vmctl ${words} >out 2>/dev/full; echo $?; cat out | grep -c at: ; vmctl ${words} >out 2>&-; echo $?`)
    expect(stdout).toBe(`${status}\n0\n${status}\n`)
  })

  test.each(['log web --follow', 'ps --watch', 'up', 'exec --all -- sleep 5', 'exec web -- sleep 5'])(
    'the terminal of `vmctl %s` goes away: the process ends, without a stack trace',
    async (words) => {
      const trace = join(project.workspace.directory, 'trace')
      writeFileSync(project.path, project.vm('web', project.inline('sleep 5')))
      // The last one to hold the terminal open is a reader that is killed: what vmctl gets then is SIGHUP, and EIO.
      const program = [process.execPath, ...vmctlWords, ...words.split(' ')].map((word) => `'${word}'`).join(' ')
      const child = spawn('python3', ['-c', terminalThatGoes, `${program}; echo "status $?" >'${trace}'`], {
        cwd: project.workspace.directory,
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      await once(child, 'exit', {signal: AbortSignal.timeout(30_000)})
      expect(readFileSync(trace, 'utf8')).toMatch(/^status (?:0|4|6|129|130|255)\n$/)
    },
  )
})

/** Runs a line of sh on a terminal of its own, and closes the terminal as soon as something was printed, or after two seconds. */
const terminalThatGoes = `
import os, pty, select, signal, sys
pid, fd = pty.fork()
if pid == 0:
    signal.signal(signal.SIGHUP, lambda *_: None)
    import subprocess
    sys.exit(subprocess.call(['sh', '-c', 'trap : HUP; ' + sys.argv[1]]))
select.select([fd], [], [], 6)
select.select([], [], [], 1)
os.close(fd)
os.waitpid(pid, 0)
`
