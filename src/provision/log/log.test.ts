import {readFileSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {describe, expect, test, vi} from 'vitest'

import {temporaryDirectory} from '../../../test/support/builders.ts'
import {openProvisionLog} from './log.ts'

const pathsIn = (directory: string) => ({log: join(directory, 'provision.log'), index: join(directory, 'provision.index')})

test('bytes are appended as they are, in the order of the calls, also of calls that nobody waited for', async () => {
  const paths = pathsIn(temporaryDirectory())
  const path = paths.log
  writeFileSync(path, 'from an earlier run\n', {mode: 0o644})
  const chunks = Array.from({length: 300}, (_, index) => Buffer.from(`${index} ä\0\u001b[31m\n`))
  {
    await using log = await openProvisionLog(paths)
    expect(await log.begin('run')).toEqual({stdout: 0, stderr: 0})
    await log.append('note', 'first\n')
    await Promise.all(chunks.map((chunk, index) => log.append(index % 2 === 0 ? 'stdout' : 'stderr', chunk)))
    void log.append('note', 'last\n')
  }
  expect(readFileSync(path, 'utf8')).toBe(`from an earlier run\nfirst\n${Buffer.concat(chunks).toString()}last\n`)
  expect(statSync(path).mode & 0o777).toBe(0o600)
})

test('what was appended is in the file before the call returns', async () => {
  const paths = pathsIn(temporaryDirectory())
  await using log = await openProvisionLog(paths)
  await log.begin('run')
  await log.append('stdout', 'one\n')
  expect(readFileSync(paths.log, 'utf8')).toBe('one\n')
})

test('the tail holds the last lines that the step of now printed, however long the lines are', async () => {
  const paths = pathsIn(temporaryDirectory())
  writeFileSync(paths.log, 'old\n')
  await using log = await openProvisionLog(paths)
  await log.begin('earlier')
  await log.append('stdout', 'of another step\n')
  await log.begin('run')
  expect(log.tail(5)).toBe('')
  await log.append('note', '=== a title ===\n')
  await log.append('stdout', 'a\nb\n')
  await log.append('stderr', 'c')
  await log.append('stdout', 'd\n')
  expect(log.tail(2)).toBe('b\ncd')
  expect(log.tail(10)).toBe('a\nb\ncd')
  await log.append('stdout', `${'x'.repeat(1_000_000)}\nend\n`)
  expect(log.tail(1)).toBe('end')
  expect(log.tail(2).length).toBeLessThan(20_000)
})

test('a log that cannot be opened names its path', async () => {
  const directory = temporaryDirectory()
  await expect(openProvisionLog({log: directory, index: join(directory, 'index')})).rejects.toMatchObject({
    code: 'vmctl::io',
    message: expect.stringContaining(directory),
  })
})

describe('after a kill', () => {
  /** A log of one run, as it is when nothing was cut. */
  const make = async () => {
    const paths = pathsIn(temporaryDirectory())
    writeFileSync(paths.log, 'earlier\n')
    {
      await using log = await openProvisionLog(paths)
      await log.begin('run')
      await log.append('note', '== step ==\n')
      await log.append('stdout', 'one\n')
      await log.append('stderr', 'problem\n')
      await log.append('stdout', 'two\n')
    }
    return paths
  }
  const again = async (paths: ReturnType<typeof pathsIn>, run = 'run') => {
    await using log = await openProvisionLog(paths)
    return await log.begin(run)
  }

  test('at whatever byte of the log, what it holds of each stream is known', async () => {
    const paths = await make()
    const whole = readFileSync(paths.log)
    const start = 'earlier\n== step ==\n'.length
    const index = readFileSync(paths.index)
    for (let size = start; size <= whole.length; size++) {
      writeFileSync(paths.log, whole.subarray(0, size))
      writeFileSync(paths.index, index)
      const there = size - start
      const stderr = Math.min(Math.max(0, there - 4), 8)
      expect(await again(paths), `${size} bytes`).toEqual({stdout: there - stderr, stderr})
      expect(readFileSync(paths.log)).toEqual(whole.subarray(0, size))
    }
  })

  test('at whatever byte of the index, the log and the counts agree', async () => {
    const paths = await make()
    const whole = readFileSync(paths.log)
    const index = readFileSync(paths.index)
    const head = index.indexOf('\n') + 1
    for (let size = head; size <= index.length; size++) {
      writeFileSync(paths.log, whole)
      writeFileSync(paths.index, index.subarray(0, size))
      const {stdout, stderr} = await again(paths)
      const logged = readFileSync(paths.log, 'utf8').slice('earlier\n'.length).replace('== step ==\n', '')
      expect(logged.length, `${size} bytes`).toBe(stdout + stderr)
      expect('one\nproblem\ntwo\n'.startsWith(logged)).toBe(true)
    }
  })

  test('counts go on over several kills, and belong to one run only', async () => {
    const paths = await make()
    expect(await again(paths)).toEqual({stdout: 8, stderr: 8})
    {
      await using log = await openProvisionLog(paths)
      await log.begin('run')
      await log.append('note', '== continued ==\n')
      await log.append('stderr', 'more\n')
    }
    expect(await again(paths)).toEqual({stdout: 8, stderr: 13})
    expect(await again(paths, 'another run')).toEqual({stdout: 0, stderr: 0})
    expect(await again(paths)).toEqual({stdout: 0, stderr: 0})
  })

  test.each(['', 'garbage\n', '{"token":"run"}\n', '{"token":"run","base":-1,"stdout":0,"stderr":0}\n', 'null\n'])(
    'an index that says %j costs repeated output at most',
    async (text) => {
      const paths = await make()
      const before = readFileSync(paths.log)
      writeFileSync(paths.index, text)
      expect(await again(paths)).toEqual({stdout: 0, stderr: 0})
      expect(readFileSync(paths.log)).toEqual(before)
    },
  )

  test('of a log that was emptied nothing counts', async () => {
    const paths = await make()
    writeFileSync(paths.log, '')
    expect(await again(paths)).toEqual({stdout: 0, stderr: 0})
  })
})

test('lines of two streams do not cut each other, and nothing is held back at the end', async () => {
  const paths = pathsIn(temporaryDirectory())
  const log = await openProvisionLog(paths)
  await log.begin('run')
  await log.append('stdout', 'one\ntw')
  await log.append('stderr', 'oops\nno')
  await log.append('stdout', 'o\nthr')
  await log.append('stdout', 'ee')
  await log.settle()
  await log.append('stdout', 'still three')
  await log[Symbol.asyncDispose]()
  expect(readFileSync(paths.log, 'utf8')).toBe('one\noops\ntwo\nthreenostill three')
})

test('a prompt without an end of line is in the log after a moment', async () => {
  const paths = pathsIn(temporaryDirectory())
  await using log = await openProvisionLog(paths)
  await log.begin('run')
  await log.append('stdout', 'Password: ')
  await vi.waitFor(() => expect(readFileSync(paths.log, 'utf8')).toBe('Password: '))
})
