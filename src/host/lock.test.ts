import {type ChildProcess, spawn} from 'node:child_process'
import {once} from 'node:events'
import {readdirSync, readFileSync, statSync, writeFileSync} from 'node:fs'
import {join, resolve} from 'node:path'

import {expect, onTestFinished, test} from 'vitest'

import {temporaryDirectory} from '../../test/support/builders.ts'
import {acquireLock} from './lock.ts'

const program = resolve(import.meta.dirname, '../../test/support/hold-lock.ts')

const launch = (...args: readonly string[]): ChildProcess & {stdout: NonNullable<ChildProcess['stdout']>} => {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program, ...args], {stdio: ['ignore', 'pipe', 'inherit']})
  onTestFinished(() => void child.kill('SIGKILL'))
  return child
}

const said = async (child: ReturnType<typeof launch>): Promise<string> => String((await once(child.stdout, 'data'))[0])

const lockPath = (): string => join(temporaryDirectory(), 'vm-web')

test('a second taker in the same process waits, and gets the lock when the first has let go', async () => {
  const path = lockPath()
  const order: string[] = []
  const first = await acquireLock(path, {purpose: 'first', timeoutMs: 0})
  const waiting = acquireLock(path, {purpose: 'second', timeoutMs: 10_000, onWait: (holder) => order.push(`waits for ${holder}`)}).then(
    async (lock) => {
      order.push('second')
      await lock[Symbol.asyncDispose]()
    },
  )
  await expect(acquireLock(path, {purpose: 'third', timeoutMs: 0})).rejects.toMatchObject({code: 'vmctl::vm::locked'})
  order.push('first lets go')
  await first[Symbol.asyncDispose]()
  await waiting
  expect(order).toEqual([`waits for first (process ${process.pid})`, 'first lets go', 'second'])
})

test('a refused taker does not break the lock of the holder in its process', async () => {
  const path = lockPath()
  await using _lock = await acquireLock(path, {purpose: 'holder', timeoutMs: 0})
  // POSIX locks of a process fall when it closes any descriptor of the file.
  await expect(acquireLock(path, {purpose: 'refused', timeoutMs: 0})).rejects.toMatchObject({code: 'vmctl::vm::locked'})
  expect(await said(launch(path, 'once'))).toContain('vmctl::vm::locked')
  const child = launch(path, 'once')
  const lines: string[] = []
  child.stdout.on('data', (chunk: Buffer) => lines.push(String(chunk)))
  await once(child, 'close')
  expect(lines.join('')).toContain('vmctl::vm::locked')
})

test('another process is kept out and learns who holds the lock; SIGKILL of the holder sets it free', async () => {
  const path = lockPath()
  const holder = launch(path, 'hold')
  expect(await said(holder)).toBe('locked\n')
  await expect(acquireLock(path, {purpose: 'me', timeoutMs: 0})).rejects.toMatchObject({
    code: 'vmctl::vm::locked',
    message: `Another vmctl is at work here: hold for ever (process ${holder.pid}).`,
    details: {lock: path, holder: `hold for ever (process ${holder.pid})`},
  })
  const waiting = acquireLock(path, {purpose: 'me', timeoutMs: 60_000})
  holder.kill('SIGKILL')
  await using lock = await waiting
  expect(lock.path).toBe(path)
  expect(readFileSync(`${path}.holder`, 'utf8')).toBe(`me (process ${process.pid})`)
})

test('one who has the lock and has not said so yet is waited for, even without patience', async () => {
  const path = lockPath()
  writeFileSync(path, '')
  const {DatabaseSync} = await import('node:sqlite')
  const database = new DatabaseSync(path)
  database.exec('BEGIN EXCLUSIVE')
  // The last holder was killed.
  const dead = spawn('true')
  await once(dead, 'exit')
  writeFileSync(`${path}.holder`, `gone (process ${dead.pid})`)
  const refused = acquireLock(path, {purpose: 'x', timeoutMs: 0})
  setTimeout(() => writeFileSync(`${path}.holder`, `slow (process ${process.pid})`), 50)
  await expect(refused).rejects.toMatchObject({details: {holder: `slow (process ${process.pid})`}})
  writeFileSync(`${path}.holder`, '')
  const granted = acquireLock(path, {purpose: 'x', timeoutMs: 0})
  setTimeout(() => database.close(), 50)
  await using lock = await granted
  expect(lock.path).toBe(path)
})

test('processes that count under the lock lose nothing', async () => {
  const path = lockPath()
  const file = `${path}.count`
  writeFileSync(file, '0')
  const children = Array.from({length: 3}, () => launch(path, 'count', file))
  const codes = await Promise.all(children.map((child) => once(child, 'exit')))
  expect(codes.map(([code]) => code)).toEqual([0, 0, 0])
  expect(readFileSync(file, 'utf8')).toBe('60')
})

test('waiting ends when the time is up, and at once by an abort', async () => {
  const path = lockPath()
  await using _lock = await acquireLock(path, {purpose: 'holder', timeoutMs: 0})
  await expect(acquireLock(path, {purpose: 'x', timeoutMs: 60})).rejects.toMatchObject({code: 'vmctl::vm::locked'})
  const reason = new Error('enough')
  const abort = new AbortController()
  const waiting = acquireLock(path, {
    purpose: 'x',
    timeoutMs: Number.POSITIVE_INFINITY,
    signal: abort.signal,
    onWait: () => setTimeout(() => abort.abort(reason)),
  })
  await expect(waiting).rejects.toBe(reason)
  await expect(acquireLock(`${path}2`, {purpose: 'x', timeoutMs: 0, signal: abort.signal})).rejects.toBe(reason)
})

test('the files of a lock are private, whatever the umask', async () => {
  const path = lockPath()
  const old = process.umask(0)
  onTestFinished(() => void process.umask(old))
  await using _lock = await acquireLock(path, {purpose: 'x', timeoutMs: 0})
  for (const name of readdirSync(join(path, '..')))
    expect(`${name} ${(statSync(join(path, '..', name)).mode & 0o777).toString(8)}`).toBe(`${name} 600`)
})

test('a lock that cannot be made says where', async () => {
  const path = join(temporaryDirectory(), 'missing', 'lock')
  await expect(acquireLock(path, {purpose: 'x', timeoutMs: 0})).rejects.toMatchObject({
    code: 'vmctl::io',
    message: expect.stringContaining(path),
  })
})

test('a lock file that somebody has written to is told, with what to do', async () => {
  const path = lockPath()
  writeFileSync(path, 'not what SQLite makes of it')
  await expect(acquireLock(path, {purpose: 'one', timeoutMs: 0})).rejects.toMatchObject({
    code: 'vmctl::io',
    message: `The lock ${path} is damaged.`,
    help: expect.stringContaining(`rm ${path}`),
  })
})

test.each([
  ['has lines and sequences of a terminal', 'vmctl up\n\u001B[2Jweb (process\t1)', 'vmctl up web (process 1)'],
  ['is empty', '', 'an unnamed process'],
  ['is long', 'x'.repeat(1000), 'x'.repeat(200)],
])('the name of a holder that %s is made fit for a line', async (_, written, told) => {
  const path = lockPath()
  await using _held = await acquireLock(path, {purpose: 'one', timeoutMs: 0})
  writeFileSync(`${path}.holder`, written)
  await expect(acquireLock(path, {purpose: 'two', timeoutMs: 0})).rejects.toThrow(`Another vmctl is at work here: ${told}.`)
})
