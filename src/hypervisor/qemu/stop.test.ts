import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {createServer} from 'node:net'

import {expect, onTestFinished, test} from 'vitest'

import {makeVm, temporaryDirectory} from '../../../test/support/builders.ts'
import {identifyProcess, isAlive} from '../../host/proc.ts'
import {qemuFiles} from './files.ts'
import {powerDown} from './stop.ts'

const signal = new AbortController().signal

/** A process in QEMU's place that ends only when it is told to by a signal. */
const launch = async () => {
  const child = spawn('sleep', ['600'], {stdio: 'ignore'})
  onTestFinished(() => void child.kill('SIGKILL'))
  await once(child, 'spawn')
  const identity = await identifyProcess(child.pid ?? 0)
  if (!identity) throw new Error('the process has ended at once')
  return identity
}

test('a guest whose power button cannot be reached is forced off at once, and the reason is told', async () => {
  const vm = makeVm({directory: temporaryDirectory()})
  const running = await launch()
  // Far more than the test may take: nobody waits for a guest that was not asked.
  expect(await powerDown(vm, running, {timeoutMs: 3_600_000, signal})).toBe('its power button could not be reached')
  expect(await isAlive(running)).toBe(false)
})

test('a guest that ignores the power button is forced off after its time, which is told', async () => {
  const vm = makeVm({directory: temporaryDirectory()})
  const running = await launch()
  const pressed: string[] = []
  const monitor = createServer((socket) => {
    socket.write('{"QMP": {"version": {}, "capabilities": []}}\n')
    socket.on('data', (data) => {
      for (const line of data.toString().split('\n').filter(Boolean)) {
        const {execute, id} = JSON.parse(line) as {execute: string; id: number}
        pressed.push(execute)
        socket.write(`${JSON.stringify({id, return: execute === 'query-status' ? {status: 'running'} : {}})}\n`)
      }
    })
  }).listen(qemuFiles(vm.directory).monitorSocket)
  await once(monitor, 'listening')
  onTestFinished(() => void monitor.close())
  expect(await powerDown(vm, running, {timeoutMs: 300, signal})).toBe('it did not power off within 0.3 s')
  expect(pressed).toContain('system_powerdown')
  expect(await isAlive(running)).toBe(false)
})
