import {readFileSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {expect, test} from 'vitest'

import {temporaryDirectory} from '../../test/support/builders.ts'
import {openProvisionLog} from './log.ts'

test('bytes are appended as they are, in the order of the calls, also of calls that nobody waited for', async () => {
  const path = join(temporaryDirectory(), 'provision.log')
  writeFileSync(path, 'from an earlier run\n', {mode: 0o644})
  const chunks = Array.from({length: 300}, (_, index) => Buffer.from(`${index} ä\0\u001b[31m\n`))
  {
    await using log = await openProvisionLog(path)
    await log.append('first\n')
    await Promise.all(chunks.map((chunk) => log.append(chunk)))
    void log.append('last\n')
  }
  expect(readFileSync(path, 'utf8')).toBe(`from an earlier run\nfirst\n${Buffer.concat(chunks).toString()}last\n`)
  expect(statSync(path).mode & 0o777).toBe(0o600)
})

test('what was appended is in the file before the call returns', async () => {
  const path = join(temporaryDirectory(), 'provision.log')
  await using log = await openProvisionLog(path)
  await log.append('one\n')
  expect(readFileSync(path, 'utf8')).toBe('one\n')
})

test('the tail holds the last lines of this handle, however long the lines are', async () => {
  const path = join(temporaryDirectory(), 'provision.log')
  writeFileSync(path, 'old\n')
  await using log = await openProvisionLog(path)
  expect(log.tail(5)).toBe('')
  await log.append('a\nb\n')
  await log.append('c')
  await log.append('d\n')
  expect(log.tail(2)).toBe('b\ncd')
  expect(log.tail(10)).toBe('a\nb\ncd')
  await log.append(`${'x'.repeat(1_000_000)}\nend\n`)
  expect(log.tail(1)).toBe('end')
  expect(log.tail(2).length).toBeLessThan(20_000)
})

test('a log that cannot be opened names its path', async () => {
  const directory = temporaryDirectory()
  await expect(openProvisionLog(directory)).rejects.toMatchObject({code: 'vmctl::io', message: expect.stringContaining(directory)})
})
