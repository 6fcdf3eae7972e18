import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {copyFileSync} from 'node:fs'
import {join} from 'node:path'

import {expect, onTestFinished, test} from 'vitest'

import {temporaryDirectory} from '../../test/support/builders.ts'
import {identifyProcess, listProcesses, processArguments} from './proc.ts'

test('a program whose name holds blanks and parentheses is read correctly', async () => {
  const program = join(temporaryDirectory(), 'a) R 1 (b c')
  copyFileSync('/bin/sleep', program)
  const child = spawn(program, ['60'])
  onTestFinished(() => void child.kill('SIGKILL'))
  await once(child, 'spawn')
  const identity = await identifyProcess(child.pid ?? 0)
  const own = await identifyProcess(process.pid)
  expect(Number(identity?.startTime)).toBeGreaterThanOrEqual(Number(own?.startTime))
  expect(await processArguments(child.pid ?? 0)).toEqual([program, '60'])
  expect(await listProcesses()).toEqual(expect.arrayContaining([process.pid, child.pid]))
})

test('a process that has ended and waits for its parent is not alive', async () => {
  // The shell's child ends at once; the sleep that the shell becomes never asks for its status.
  const parent = spawn('sh', ['-c', 'sleep 0.05 & echo $!; exec sleep 60'])
  onTestFinished(() => void parent.kill('SIGKILL'))
  const [line] = await once(parent.stdout, 'data')
  const pid = Number(String(line))
  for (let look = 0; look < 200 && (await identifyProcess(pid)); look++) await new Promise((resolve) => setTimeout(resolve, 5))
  expect(await listProcesses()).toContain(pid)
  expect(await identifyProcess(pid)).toBeUndefined()
})

test('nothing is known of a process that does not exist', async () => {
  for (const pid of [0, -1, Number.NaN, 2 ** 30]) {
    expect(await identifyProcess(pid)).toBeUndefined()
    expect(await processArguments(pid)).toEqual([])
  }
})
