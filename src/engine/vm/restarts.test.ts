import {appendFileSync, writeFileSync} from 'node:fs'

import {expect, test} from 'vitest'

import {makeVm, temporaryDirectory} from '../../../test/support/builders.ts'
import {vmFiles} from '../../model/layout.ts'
import {openEngine} from '../engine.ts'
import {watchPanics} from './restarts.ts'

const panic = (reason: string): string => `[   12.345678] Kernel panic - not syncing: ${reason}\r\n`

test('of the panics on the console the last one counts, and none from before the step', async () => {
  const directory = temporaryDirectory()
  const engine = await openEngine({stateDirectory: directory, env: {}})
  const vm = makeVm({directory})
  const {consoleLog} = vmFiles(directory)
  expect(await (await watchPanics(engine, vm))()).toBeUndefined()
  writeFileSync(consoleLog, `booting\r\n${panic('an earlier one')}`)
  const find = await watchPanics(engine, vm)
  expect(await find()).toBeUndefined()
  appendFileSync(
    consoleLog,
    `Linux version 6.1\r\n${panic('first')}${panic('\u{1b}[31msysrq triggered crash')}Rebooting in 1 seconds..\r\n`,
  )
  expect(await find()).toBe('Kernel panic - not syncing: sysrq triggered crash')
  appendFileSync(consoleLog, '---[ end Kernel panic - not syncing: of no account ]---\r\n')
  expect(await find()).toBe('Kernel panic - not syncing: sysrq triggered crash')
  expect(await (await watchPanics(engine, vm, 0))()).toBe('Kernel panic - not syncing: sysrq triggered crash')
})
