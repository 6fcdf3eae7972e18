import {expect, test} from 'vitest'

import {isAlive, identifyProcess} from './proc.ts'
import {describeExit, lastLines, run, runOrThrow} from './process.ts'
import {qemuNotInstalled} from './qemu-missing.ts'

test('output, status and signal of a program come back; nothing goes through a shell', async () => {
  expect(await run('printf', ['%s', '$HOME; `id`'])).toEqual({exitCode: 0, signal: null, stdout: '$HOME; `id`', stderr: ''})
  expect(await run('sh', ['-c', 'echo out; echo err >&2; exit 3'])).toEqual({exitCode: 3, signal: null, stdout: 'out\n', stderr: 'err\n'})
  expect(await run('sh', ['-c', 'kill -TERM $$'])).toMatchObject({exitCode: null, signal: 'SIGTERM'})
})

test('input, environment and directory are handed over; a program may ignore its input', async () => {
  expect((await run('cat', [], {input: 'ä\n'})).stdout).toBe('ä\n')
  expect((await run('cat', [])).stdout).toBe('')
  expect((await run('sh', ['-c', 'echo "$A"; pwd'], {env: {...process.env, A: 'x y'}, cwd: '/'})).stdout).toBe('x y\n/\n')
  expect((await run('true', [], {input: 'x'.repeat(5_000_000)})).exitCode).toBe(0)
})

test('a program that is not installed is told with the code that was asked for', async () => {
  await expect(run('no-such-program', [])).rejects.toMatchObject({
    code: 'vmctl::host::not_installed',
    message: 'no-such-program is not installed or not on PATH.',
  })
  await expect(run('no-such-program', [], {notInstalled: {kind: qemuNotInstalled, help: 'get it'}})).rejects.toMatchObject({
    code: 'vmctl::qemu::not_installed',
    help: 'get it',
  })
  await expect(run('/etc/passwd', [])).rejects.toMatchObject({code: 'vmctl::host::program_failed'})
})

test('a program that takes too long or prints too much is killed', async () => {
  await expect(run('sleep', ['60'], {timeoutMs: 50})).rejects.toMatchObject({
    code: 'vmctl::host::program_failed',
    message: 'sleep did not finish within 50 ms.',
  })
  await expect(run('yes', [])).rejects.toMatchObject({message: 'yes printed more than 8 MiB.'})
})

test('a cancelled program is dead, and the reason is what is thrown', async () => {
  const abort = new AbortController()
  const reason = new Error('enough')
  let pid = 0
  const running = run('sh', ['-c', 'exec sleep 60'], {signal: abort.signal})
  for (const candidate of await childrenOf(process.pid, 'sleep')) pid = candidate
  abort.abort(reason)
  await expect(running).rejects.toBe(reason)
  expect(pid).toBeGreaterThan(0)
  for (let look = 0; look < 100 && (await identifyProcess(pid)); look++) await new Promise((resolve) => setTimeout(resolve, 10))
  expect(await identifyProcess(pid)).toBeUndefined()
  await expect(run('true', [], {signal: abort.signal})).rejects.toBe(reason)
})

const childrenOf = async (parent: number, name: string): Promise<number[]> => {
  for (;;) {
    const {stdout} = await run('pgrep', ['-P', String(parent), '-x', name])
    const found = stdout.split('\n').filter(Boolean).map(Number)
    if (found.length > 0) return found
  }
}

test('a failed program becomes an error with its last lines', async () => {
  await expect(runOrThrow('sh', ['-c', 'for i in 1 2 3 4 5 6 7; do echo "line $i" >&2; done; exit 9'])).rejects.toMatchObject({
    code: 'vmctl::host::program_failed',
    message: 'sh ended with status 9: line 3\nline 4\nline 5\nline 6\nline 7',
    details: {program: 'sh', exitCode: 9, signal: null},
  })
  await expect(runOrThrow('sh', ['-c', 'echo fine'])).resolves.toBe('fine\n')
  expect(describeExit({exitCode: null, signal: 'SIGKILL'})).toBe('was ended by SIGKILL')
  expect(lastLines('a\nb\nc\n\n', 2)).toBe('b\nc')
})

test('a process is known by more than its number', async () => {
  const own = await identifyProcess(process.pid)
  expect(own).toMatchObject({pid: process.pid, startTime: expect.stringMatching(/^\d+$/), bootId: expect.stringMatching(/^[0-9a-f-]{36}$/)})
  if (!own) return
  expect(await isAlive(own)).toBe(true)
  expect(await isAlive({...own, startTime: '1'})).toBe(false)
  expect(await isAlive({...own, bootId: '00000000-0000-0000-0000-000000000000'})).toBe(false)
  expect(await isAlive({...own, pid: 2 ** 22 + 1})).toBe(false)
})
