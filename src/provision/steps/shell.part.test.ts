import {createHash} from 'node:crypto'
import {chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'

import {afterAll, beforeAll, describe, expect, test, vi} from 'vitest'

import {temporaryDirectory} from '../../../test/support/builders.ts'
import {type CuttableSession, localGuest, makeContext, openSshGuest, type RecordedContext} from '../../../test/support/guests.ts'
import {endProcess, sshdMissing, startSshd, type TestSshd} from '../../../test/support/sshd.ts'
import {listProcesses, processArguments} from '../../host/proc.ts'
import {VmctlError} from '../../model/errors.ts'
import {attachJob, type Job, killJob} from '../job/job.ts'
import type {Guest} from '../provisioner.ts'
import {shellProvisioner} from './shell.ts'
import {guestShells, guestShellNames} from '../../../test/support/shells.ts'
import {testUnless, needsRoot, needsElevation} from '../../../test/support/programs.ts'
import type {ShellCommand, ShellSettings} from '../../model/steps.ts'

// Tests that run at the same time share one count of assertions, so it cannot tell which of them made none.
vi.setConfig({expect: {requireAssertions: false}})

const missing = sshdMissing()

type Given = ShellCommand & Partial<Omit<ShellSettings, keyof ShellCommand>>

const settings = (given: Given): ShellSettings => ({args: [], env: {}, privileged: false, ...given})

/** Runs one step to its end, with what run.ts does after it. */
const runStep = async (given: Given, context: RecordedContext): Promise<RecordedContext> => {
  try {
    await shellProvisioner.run(settings(given), context)
  } finally {
    await context.tidy()
  }
  return context
}

const text = ({printed}: RecordedContext) => ({stdout: printed.stdout.toString(), stderr: printed.stderr.toString()})

const jobOf = (memory: unknown): Job => memory as Job

const none = () => ({stdout: 0, stderr: 0})

/** Waits for something that another process does. */
const eventually = async (check: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await check())) await sleep(10)
}

const awkward: Readonly<Record<string, string>> = {
  EMPTY: '',
  BLANKS: '  two  blanks  ',
  SEVERAL: 'one\ntwo\n\nfour\n',
  RETURN: 'a\r\nb\t',
  SINGLE: "it's 'quoted'",
  DOUBLE: '"double" \\ backslash \\n',
  DOLLAR: '$HOME ${HOME} $(id) `id` !! ~',
  GLOB: '* ? [a-z] {a,b}',
  DASHES: '-n --help -e',
  UTF8: 'äöü → 日本 🙂',
  LONG: 'x'.repeat(1000),
  // Names that a careless program would use itself.
  directory: 'mine',
  PATH: '/usr/bin:/bin:/made/up',
  HOME: '/no/such/home',
  n: '7',
  line: 'mine too',
}

const names = Object.keys(awkward)

/** Every shell sets these itself when it starts; they must do no harm. */
const overruled = {PWD: '/somewhere/else', IFS: 'abc', OLDPWD: '/x', SHLVL: 'x'}

/** Prints arguments and variables so that nothing is lost. */
const tell = (...words: readonly string[]): string => `printf '%s\\0' ${words.join(' ')}`

const parts = ({stdout}: {stdout: string}): string[] => stdout.split('\0').slice(0, -1)

describe.skipIf(missing)(`over a real sshd${missing === undefined ? '' : ` (skipped: ${missing})`}`, {concurrent: true}, () => {
  let sshd: TestSshd
  let session: CuttableSession
  beforeAll(async () => {
    sshd = await startSshd()
    session = openSshGuest(sshd)
  })
  afterAll(async () => {
    session[Symbol.dispose]()
    await sshd[Symbol.asyncDispose]()
  })
  const context = (change: Parameters<typeof makeContext>[1] = {}) => makeContext(session.guest, change)
  const script = (content: string): string => {
    const path = join(sshd.directory, `script-${Math.random().toString(36).slice(2)}.sh`)
    writeFileSync(path, content)
    return path
  }

  test('the environment of the VM is below that of the step, and part of what the step is', async () => {
    const ran = context({env: {MODE: 'vm', OWN: 'vm', ...awkward}})
    await runStep({inline: tell('"$MODE"', '"$OWN"', '"$SINGLE"', '"$SEVERAL"'), env: {OWN: 'step'}}, ran)
    expect(parts(text(ran))).toEqual(['vm', 'step', awkward.SINGLE, awkward.SEVERAL])
    const factsOf = (inherited: Readonly<Record<string, string>>) =>
      shellProvisioner.facts(settings({inline: 'true', env: {OWN: 'step'}}), {env: inherited})
    expect(await factsOf({MODE: 'one'})).not.toEqual(await factsOf({MODE: 'two'}))
    // What the step overrules is nothing that it rests on.
    expect(await factsOf({OWN: 'vm'})).toEqual(await factsOf({}))
  })

  test('an inline step prints to both streams and succeeds; its files are gone afterwards', async () => {
    const ran = await runStep({inline: 'echo out; echo err >&2; pwd'}, context())
    expect(text(ran)).toEqual({stdout: `out\n${sshd.directory}\n`, stderr: 'err\n'})
    expect(ran.remembered).toEqual([{directory: expect.stringMatching(/^\/var\/tmp\/vmctl-[^/]+$/), privileged: false}])
    expect(existsSync(jobOf(ran.remembered[0]).directory)).toBe(false)
  })

  test('a step that makes its two streams one has them in the order in which they were written', async () => {
    const pair = (n: number): string => `echo out ${n}; ls /nosuch/${n}`
    const lines = [1, 2, 3, 4, 5].flatMap((n) => [`out ${n}`, expect.stringContaining(`/nosuch/${n}`)])
    const ran = await runStep({inline: `exec 2>&1; ${[1, 2, 3, 4, 5].map(pair).join('; ')}; true`}, context())
    expect(text(ran).stdout.trimEnd().split('\n')).toEqual(lines)
    expect(text(ran).stderr).toBe('')
  })

  test('every awkward value arrives as it is, as argument and as variable, in no process list and in no file that others can read', async () => {
    const values = Object.values(awkward)
    const inline = `cat /proc/self/cmdline >&2; ${tell('"$@"', ...names.map((name) => `"$${name}"`))}`
    const ran = await runStep({inline, args: values, env: {...overruled, ...awkward}}, context())
    const {stdout, stderr} = text(ran)
    expect(parts({stdout})).toEqual([...values, ...values])
    expect(stderr).not.toContain('quoted')
    const byScript = await runStep(
      {
        script: script(`#!/bin/bash\n${tell('"$#"', '"$@"', ...names.map((name) => `"$${name}"`))}`),
        args: values,
        env: {...overruled, ...awkward},
      },
      context(),
    )
    expect(parts(text(byScript))).toEqual([String(values.length), ...values, ...values])
  }, 20_000)

  test('an interpreter runs an inline text and a script, with its own arguments and those of the step', async () => {
    const inline = 'import sys\nprint(sys.argv[1:], sys.flags.dont_write_bytecode)'
    const ran = await runStep({inline, interpreter: 'python3 -B', args: ['a b']}, context())
    expect(text(ran).stdout).toBe("['a b'] 1\n")
    const tool = script('#!/nonexistent\nprint("the first line of the script is not asked")')
    expect(text(await runStep({script: tool, interpreter: 'python3'}, context())).stdout).toBe(
      'the first line of the script is not asked\n',
    )
  })

  test('the private directory of a job is for its user only', async () => {
    const modes: string[] = []
    const seen = context({
      output: async () => {
        const {directory} = jobOf(seen.remembered[0])
        for (const path of [directory, ...readdirSync(directory).map((name) => join(directory, name))]) {
          // What is written beside its place may be in it by now.
          const entry = statSync(path, {throwIfNoEntry: false})
          if (entry) modes.push(`${path.replace(directory, '')} ${(entry.mode & 0o077).toString(8)}`)
        }
      },
    })
    await runStep({inline: 'echo hello', env: {SECRET: 'x'}}, seen)
    expect(modes.length).toBeGreaterThan(5)
    expect(modes.filter((mode) => !mode.endsWith(' 0'))).toEqual([])
  })

  test.each([
    ['with a first line of its own', '#!/usr/bin/awk -f\nBEGIN {print "awk"}', 'awk\n'],
    ['without one, which a shell runs', 'echo "plain $0" | sed "s/ .*//"', 'plain\n'],
    ['with Windows line ends inside of quotes', "printf '%s' 'a\r\nb'", 'a\r\nb'],
    ['without a line feed at the end', 'printf end', 'end'],
  ])('a script %s', async (_, content, stdout) => {
    expect(text(await runStep({script: script(content)}, context())).stdout).toBe(stdout)
  })

  test('the exit status is the result: 0 is success, everything else a failure that says so', async () => {
    for (const code of [1, 130, 255]) {
      const ran = context()
      await expect(runStep({inline: `echo before; exit ${code}`}, ran)).rejects.toMatchObject({
        code: 'vmctl::provision::failed',
        message: `Step 1 ended with exit code ${code}.`,
        details: {step: 1, exitCode: code},
      })
      expect(existsSync(jobOf(ran.remembered[0]).directory)).toBe(false)
    }
    await expect(runStep({inline: 'kill -KILL $$'}, context())).rejects.toMatchObject({details: {exitCode: 137}})
    await expect(runStep({inline: 'no-such-program'}, context())).rejects.toMatchObject({details: {exitCode: 127}})
    await expect(runStep({script: script('#!/no/such/interpreter\n')}, context())).rejects.toMatchObject({code: 'vmctl::provision::failed'})
    await expect(runStep({script: '/no/such/script'}, context())).rejects.toThrow('/no/such/script')
  }, 20_000)

  test('standard input is empty, and a step that reads it does not eat the script', async () => {
    expect(text(await runStep({inline: 'cat; echo after'}, context())).stdout).toBe('after\n')
  })

  test('10 MB on both streams at once arrive whole, in order, exactly once', async () => {
    const bytes = 10e6
    const hashes = {stdout: createHash('sha256'), stderr: createHash('sha256')}
    const counts = {stdout: 0, stderr: 0}
    const count = (stream: 'stdout' | 'stderr', chunk: Uint8Array): Promise<void> => {
      hashes[stream].update(chunk)
      counts[stream] += chunk.length
      return Promise.resolve()
    }
    const line = (name: string): string => `a line of ${name} 0123456789`
    await runStep(
      {inline: `(yes '${line('stdout')}' | head -c ${bytes}) & (yes '${line('stderr')}' | head -c ${bytes} >&2) & wait`},
      context({output: count}),
    )
    expect(counts).toEqual({stdout: bytes, stderr: bytes})
    for (const name of ['stdout', 'stderr'] as const) {
      expect(hashes[name].digest('hex')).toBe(
        createHash('sha256')
          .update(Buffer.alloc(bytes, `${line(name)}\n`))
          .digest('hex'),
      )
    }
  })

  test('a connection that is cut again and again: the step runs once, and its output comes once', async () => {
    const marks = join(sshd.directory, 'runs')
    using own = openSshGuest(sshd)
    let cuts = 0
    const ran = makeContext(own.guest, {
      output: async () => {
        // Each connection once, however much of it is on its way.
        if (cuts === 4 || own.connections <= cuts) return
        cuts++
        own.cut()
      },
    })
    const inline = `echo run >>${marks}; i=0; while [ $i -lt 600 ]; do echo $i; echo e$i >&2; i=$((i+1)); [ $((i%50)) -ne 0 ] || sleep 0.1; done; exit 3`
    await expect(runStep({inline}, ran)).rejects.toMatchObject({details: {exitCode: 3}})
    const numbers = Array.from({length: 600}, (_, index) => index)
    expect(text(ran)).toEqual({
      stdout: numbers.map((index) => `${index}\n`).join(''),
      stderr: numbers.map((index) => `e${index}\n`).join(''),
    })
    expect(readFileSync(marks, 'utf8')).toBe('run\n')
    expect(cuts).toBeGreaterThan(1)
    expect(own.connections).toBeGreaterThan(2)
  }, 20_000)

  test('what a slow terminal has not yet taken when the connection breaks is not printed twice', async () => {
    using own = openSshGuest(sshd)
    let cut = false
    const ran = makeContext(own.guest, {
      output: async () => {
        if (cut) return
        cut = true
        own.cut()
        await sleep(200)
      },
    })
    await runStep({inline: 'echo one; sleep 0.5; echo two'}, ran)
    expect(text(ran).stdout).toBe('one\ntwo\n')
    expect(own.connections).toBe(2)
  })

  test('a server process that is killed is a lost connection too', async () => {
    const marks = join(sshd.directory, 'killed-runs')
    using own = openSshGuest(sshd)
    let killed = false
    const ran = makeContext(own.guest, {
      output: async (_, chunk) => {
        if (killed) return
        killed = true
        endProcess(Number(String(chunk)))
      },
    })
    let parent = ''
    await (await own.guest()).exec('echo $PPID', {onStdout: (chunk) => void (parent += chunk.toString())})
    await runStep({inline: `echo run >>${marks}; echo ${parent.trim()}; sleep 0.3; echo end`}, ran)
    expect(text(ran).stdout).toBe(`${parent.trim()}\nend\n`)
    expect(readFileSync(marks, 'utf8')).toBe('run\n')
  })

  test('a guest that cannot be reached any more is told after a few attempts, and the job is left alone', async () => {
    const marks = join(sshd.directory, 'unreachable-runs')
    using own = openSshGuest(sshd)
    let lost = false
    const guest = async (): Promise<Guest> => {
      if (lost) throw new VmctlError('vmctl::ssh::connection_lost', 'no way')
      return own.guest()
    }
    const ran = makeContext(guest, {
      output: async () => {
        lost = true
        own.cut()
      },
    })
    await expect(runStep({inline: `echo one; sleep 0.2; echo done >>${marks}; echo two`}, ran)).rejects.toMatchObject({
      code: 'vmctl::ssh::connection_lost',
    })
    // A later vmctl has nothing but what was remembered.
    const delivered = {stdout: ran.printed.stdout.length, stderr: ran.printed.stderr.length}
    const later = context({memory: ran.remembered.at(-1), delivered})
    await runStep({inline: 'must not be run'}, later)
    expect(text(ran).stdout + text(later).stdout).toBe('one\ntwo\n')
    expect(readFileSync(marks, 'utf8')).toBe('done\n')
    expect(existsSync(jobOf(ran.remembered[0]).directory)).toBe(false)
  })

  test('a vmctl that vanished in the middle is taken over by the next one, without a byte twice', async () => {
    const marks = join(sshd.directory, 'takeover-runs')
    const gone = openSshGuest(sshd)
    const vanishing = Promise.withResolvers<void>()
    const first = makeContext(gone.guest, {
      output: async () => {
        if (first.printed.stdout.length < 4) return
        vanishing.resolve()
        await new Promise(() => undefined)
      },
    })
    void runStep({inline: `echo run >>${marks}; for i in 1 2 3 4 5 6; do echo $i; sleep 0.1; done; exit 5`}, first).catch(() => undefined)
    await vanishing.promise
    const seen = first.printed.stdout.toString()
    gone.cut()
    const second = context({memory: first.remembered.at(-1), delivered: {stdout: seen.length, stderr: 0}})
    await expect(runStep({inline: 'must not be run'}, second)).rejects.toMatchObject({details: {exitCode: 5}})
    expect(seen + text(second).stdout).toBe('1\n2\n3\n4\n5\n6\n')
    expect(readFileSync(marks, 'utf8')).toBe('run\n')
  })

  test('a job that is to be run anew is ended first, with all that it started', async () => {
    const own = openSshGuest(sshd)
    const left = Promise.withResolvers<void>()
    const first = makeContext(own.guest, {
      output: async () => {
        left.resolve()
        await new Promise(() => undefined)
      },
    })
    void runStep({inline: 'sleep 9101 & echo ready; sleep 9102; echo never'}, first).catch(() => undefined)
    await left.promise
    own.cut()
    const later = context()
    await shellProvisioner.abandon?.(first.remembered.at(-1), later)
    await later.tidy()
    expect(await alive('910')).toEqual([])
    expect(existsSync(jobOf(first.remembered[0]).directory)).toBe(false)
    // Nothing is left to be ended: that is no error.
    await shellProvisioner.abandon?.(first.remembered.at(-1), later)
    await shellProvisioner.abandon?.('of another provisioner', later)
  })

  test('what an earlier vmctl has left of the same VM is removed, but nothing in which a job runs or that is not ours', async () => {
    const vmId = 'ab12cd34'
    const make = (...files: readonly (readonly [string, string])[]): string => {
      const directory = mkdtempSync(`/var/tmp/vmctl-${vmId}-`)
      for (const [name, content] of files) writeFileSync(`${directory}/${name}`, content)
      return directory
    }
    const left = [make(), make(['out', 'x']), make(['pid', '999999999']), make(['pid', String(process.pid)], ['rc', '0'])]
    const running = make(['pid', String(process.pid)])
    const other = mkdtempSync('/var/tmp/vmctl-test-')
    const link = `/var/tmp/vmctl-${vmId}-link`
    symlinkSync(other, link)
    await runStep({inline: 'true'}, context({vmId}))
    expect(left.filter((directory) => existsSync(directory))).toEqual([])
    expect([running, other, link].filter((path) => !existsSync(path))).toEqual([])
    for (const path of [running, other, link]) rmSync(path, {recursive: true})
  })

  test('a job that was never started is fenced off, and run anew', async () => {
    const root = mkdtempSync('/var/tmp/vmctl-test-')
    const ran = await runStep({inline: 'echo anew'}, context({memory: {directory: root, privileged: false}}))
    expect(text(ran).stdout).toBe('anew\n')
    expect(existsSync(root)).toBe(false)
  })

  test('a starter that comes late finds its claim taken', async () => {
    const mark = join(sshd.directory, 'late')
    const spec = {script: {text: `touch ${mark}\n`}, executable: false, args: [], env: {}, privileged: false}
    const {startJob} = await import('../job/job.ts')
    const outcomes: unknown[] = []
    const onMade = async (job: Job): Promise<void> => {
      outcomes.push(await attachJob(job, context(), none()), await attachJob(job, context(), none()))
    }
    outcomes.push(await startJob(spec, context(), {progress: none(), onMade}))
    expect(outcomes).toEqual(['never-started', 'never-started', 'never-started'])
    expect(existsSync(mark)).toBe(false)
  })

  test('what a login shell prints of its own is not taken for output, and one that runs nothing is no success', async () => {
    const speaking = (prelude: string): RecordedContext => {
      const local = localGuest('/usr/bin:/bin', '/')
      return makeContext(async () => ({...local, exec: (command, options) => local.exec(`${prelude} ${command}`, options)}))
    }
    expect(text(await runStep({inline: 'echo mine'}, speaking('printf "Welcome! /var/tmp";')))).toEqual({stdout: 'mine\n', stderr: ''})
    for (const prelude of ['exit 0;', 'echo This account is not available.; exit 1;', 'head -c 100000 /dev/zero; exit 3;']) {
      const ran = speaking(prelude)
      await expect(runStep({inline: 'echo never'}, ran)).rejects.toMatchObject({code: 'vmctl::provision::failed'})
      expect(ran.remembered).toEqual([])
      expect(text(ran).stdout).toBe('')
    }
  })

  testUnless(needsRoot())('a job that cannot be fenced off is not taken for one that never ran', async () => {
    // As when the log-in was changed meanwhile: another user may not even look into the directory.
    const root = mkdtempSync('/var/tmp/vmctl-test-')
    chmodSync(root, 0o700)
    const dropped = localGuest('/usr/bin:/bin', '/')
    const asNobody: Guest = {
      ...dropped,
      exec: (command, options) => dropped.exec(`exec setpriv --reuid 65534 --clear-groups ${command}`, options),
    }
    await expect(killJob(asNobody, root, false)).rejects.toThrow(/ended with status (?:1|126)$/)
    expect(
      await attachJob(
        {directory: root},
        makeContext(async () => asNobody),
        none(),
      ),
    ).toBe('gone')
    rmSync(root, {recursive: true})
  })

  test.each([
    ['files are gone', 'gone', (root: string) => rmSync(root, {recursive: true})],
    ['process was killed', 'died', (_root: string, directory: string) => writeFileSync(join(directory, 'pid'), '4194305')],
    ['guest was rebooted', 'rebooted', (_root: string, directory: string) => writeFileSync(join(directory, 'boot'), 'another boot\n')],
  ])('a job whose %s has an unknown outcome, which is never success', async (_, __, harm) => {
    const root = mkdtempSync('/var/tmp/vmctl-test-')
    const directory = `${root}/step-1`
    const sh = await session.guest()
    await sh.exec(
      `mkdir -p ${directory}/claim; cd ${directory}; echo hello >out; : >err; echo 1 >pid; cat /proc/sys/kernel/random/boot_id >boot`,
    )
    harm(root, directory)
    const ran = context({memory: {directory, privileged: false}})
    await expect(runStep({inline: 'must not be run'}, ran)).rejects.toMatchObject({
      code: 'vmctl::provision::unknown_outcome',
      details: {step: 1},
    })
    rmSync(root, {recursive: true, force: true})
  })

  test.each([
    ['files are gone on the same boot', undefined, 'its files are no longer in the guest', false],
    ['files are gone on another boot', undefined, 'the guest has restarted, and its files are no longer there', true],
    ['files are left on another boot', 'an earlier boot', 'the guest has restarted while it ran', true],
  ])('a job whose %s says whether the guest has restarted', async (title, boot, message, restarted) => {
    const root = mkdtempSync('/var/tmp/vmctl-test-')
    const directory = `${root}/job`
    if (boot !== undefined) {
      const sh = await session.guest()
      await sh.exec(`mkdir -p ${directory}/claim; cd ${directory}; : >out; : >err; echo 1 >pid; echo ${boot} >boot`)
    }
    const here = title.includes('same') ? 'an earlier boot' : 'this boot'
    const guest = async (): Promise<Guest> => ({...(await session.guest()), bootId: here})
    const ran = makeContext(guest, {memory: {directory, privileged: false, bootId: 'an earlier boot'}})
    const error: unknown = await runStep({inline: 'must not be run'}, ran).catch((caught: unknown) => caught)
    expect(error).toMatchObject({code: 'vmctl::provision::unknown_outcome', message: expect.stringContaining(message)})
    expect(error instanceof VmctlError && error.details.restarted === true).toBe(restarted)
    rmSync(root, {recursive: true})
  })

  test('a job is remembered with the boot that it runs on', async () => {
    const guest = async (): Promise<Guest> => ({...(await session.guest()), bootId: 'this boot'})
    const ran = await runStep({inline: 'true'}, makeContext(guest))
    expect(ran.remembered).toEqual([{directory: expect.any(String), privileged: false, bootId: 'this boot'}])
  })

  test('a child in the background that keeps the output open does not hold up the step', async () => {
    const ran = context()
    await runStep({inline: 'echo begun; sleep 4001 & echo $!'}, ran)
    const [begun, pid] = text(ran).stdout.split('\n')
    expect(begun).toBe('begun')
    expect(await processArguments(Number(pid))).toEqual(['sleep', '4001'])
    endProcess(Number(pid))
  })

  const alive = async (marker: string): Promise<string[]> => {
    const all = await Promise.all((await listProcesses()).map(processArguments))
    return all.filter((args) => args[0] === 'sleep' && args[1]?.startsWith(marker)).map((args) => args.join(' '))
  }

  test('a step that takes too long is ended with everything that it started, grandchildren and orphans too', async () => {
    const ran = context()
    const inline =
      'trap "" HUP; (sleep 5001 & sleep 5002 & wait) & (sleep 5003 &); setsid sh -c "sleep 5004; :" & echo ready; sleep 5005; :'
    await expect(runStep({inline, timeoutMs: 1500}, ran)).rejects.toMatchObject({
      code: 'vmctl::provision::timed_out',
      message: 'Step 1 did not finish within 1.5 s and was ended.',
    })
    await eventually(async () => (await alive('500')).length === 0)
    expect(existsSync(jobOf(ran.remembered[0]).directory)).toBe(false)
  })

  test('Ctrl+C ends the step in the guest as well', async () => {
    const abort = new AbortController()
    const reason = new VmctlError('vmctl::interrupted', 'Interrupted.')
    const ran = context({signal: abort.signal, output: async () => abort.abort(reason)})
    await expect(runStep({inline: 'echo ready; sleep 6001; echo never'}, ran)).rejects.toBe(reason)
    await eventually(async () => (await alive('600')).length === 0)
    expect(existsSync(jobOf(ran.remembered[0]).directory)).toBe(false)
    expect(text(ran).stdout).toBe('ready\n')
  })

  test('a step that could not be ended is not told as ended', async () => {
    const abort = new AbortController()
    let lost = false
    const guest = (): Promise<Guest> => (lost ? Promise.reject(new Error('no way')) : session.guest())
    const ran = makeContext(guest, {
      signal: abort.signal,
      output: async () => {
        lost = true
        abort.abort(new VmctlError('vmctl::interrupted', 'Interrupted.'))
      },
    })
    await expect(runStep({inline: 'echo ready; sleep 0.3'}, ran)).rejects.toMatchObject({
      code: 'vmctl::ssh::connection_lost',
      message: expect.stringContaining('may still run'),
    })
    rmSync(jobOf(ran.remembered[0]).directory, {recursive: true})
  })

  testUnless(needsElevation())('as root: the step, its output and its end', async () => {
    const ran = await runStep({inline: 'id -u; printf %s "$A"', env: {A: "it's"}, privileged: true}, context())
    expect(text(ran).stdout).toBe("0\nit's")
  })
})

describe.concurrent.each(guestShells())('$name as /bin/sh of the guest', ({name: shell, missing: lacking, path}) => {
  let directory: string
  let guest: Guest
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'vmctl-home-'))
    guest = localGuest(path, directory)
  })
  afterAll(() => rmSync(directory, {recursive: true}))
  const context = (change: Parameters<typeof makeContext>[1] = {}) => makeContext(async () => guest, change)

  test.skipIf(lacking)('values, both streams, status and tidying up', async () => {
    const {PATH: _path, ...env} = awkward
    const ran = context()
    const inline = `${tell('"$@"', ...Object.keys(env).map((name) => `"$${name}"`))}; echo err >&2; exit 9`
    await expect(runStep({inline, args: Object.values(env), env: {...overruled, ...env}}, ran)).rejects.toMatchObject({
      details: {exitCode: 9},
    })
    expect(parts(text(ran))).toEqual([...Object.values(env), ...Object.values(env)])
    expect(text(ran).stderr).toBe('err\n')
    expect(existsSync(jobOf(ran.remembered[0]).directory)).toBe(false)
  })

  test.skipIf(lacking)('a job is followed from the middle', async () => {
    const root = mkdtempSync('/var/tmp/vmctl-test-')
    const job = join(root, 'step-1')
    const content = Buffer.from(Array.from({length: 30_000}, (_, index) => `${index}\n`).join(''))
    await guest.exec(`mkdir -p ${job}/claim && cd ${job} && cat >out && echo error >err && echo 0 >rc`, {stdin: content})
    for (const stdout of [0, 1, 65_535, 65_536, 65_537, 131_072, content.length - 1, content.length]) {
      const ran = context()
      expect(await attachJob({directory: job}, ran, {stdout, stderr: 2})).toEqual({exitCode: 0})
      expect(ran.printed.stdout.equals(content.subarray(stdout)), `from ${stdout}`).toBe(true)
      expect(text(ran).stderr).toBe('ror\n')
    }
    rmSync(root, {recursive: true})
  })

  test.skipIf(lacking)('fencing and the end of a tree of processes', async () => {
    const root = mkdtempSync('/var/tmp/vmctl-test-')
    expect(await attachJob({directory: root}, context(), none())).toBe('never-started')
    expect(existsSync(join(root, 'claim'))).toBe(true)
    rmSync(root, {recursive: true})
    const abort = new AbortController()
    const reason = new Error('enough')
    const ran = context({signal: abort.signal, output: async () => abort.abort(reason)})
    const own = 1 + guestShellNames.indexOf(shell)
    const inline = `(sleep 700${own} & sleep 701${own} & wait) & (sleep 702${own} &); echo ready; sleep 703${own}; :`
    await expect(runStep({inline}, ran)).rejects.toBe(reason)
    expect(existsSync(jobOf(ran.remembered[0]).directory)).toBe(false)
    await eventually(async () => {
      const all = await Promise.all((await listProcesses()).map(processArguments))
      return !all.some((args) => args.some((argument) => new RegExp(`^70[0-3]${own}$`).test(argument)))
    })
  })
})

test('titles are short, and everything that matters is among the facts', async () => {
  expect(shellProvisioner.describe(settings({inline: '\n  apt-get update\nmore'}))).toBe('inline: apt-get update')
  expect(shellProvisioner.describe(settings({inline: 'x'.repeat(100)}))).toBe(`inline: ${'x'.repeat(59)}…`)
  expect(shellProvisioner.describe(settings({script: '/a/b/setup.sh'}))).toBe('script: setup.sh')
  const path = join(temporaryDirectory(), 'setup.sh')
  writeFileSync(path, 'one')
  const print = async (given: Given) => JSON.stringify(await shellProvisioner.facts(settings(given), {env: {}}))
  const variants = [
    {inline: 'one'},
    {inline: 'two'},
    {script: path},
    {inline: 'one', args: ['a']},
    {inline: 'one', args: ['a', '']},
    {inline: 'one', env: {A: 'a'}},
    {inline: 'one', privileged: true},
  ]
  const prints = await Promise.all(variants.map(print))
  expect(new Set(prints).size).toBe(variants.length)
  expect(await print({inline: 'one', timeoutMs: 5})).toBe(prints[0])
  const before = await print({script: path})
  writeFileSync(path, 'two')
  expect(await print({script: path})).not.toBe(before)
})
