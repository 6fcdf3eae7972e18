import {readdirSync, readFileSync} from 'node:fs'
import {join, resolve} from 'node:path'

import {expect, test} from 'vitest'

import {incusFailures} from '../hypervisor/incus/failures.ts'
import {qemuFailures} from '../hypervisor/qemu/failures.ts'
import {exitCodes} from '../model/exit-codes.ts'
import {commonFailures} from '../model/failures.ts'
import {failures} from './failures.ts'

test('every failure has a known exit status and says what to do', () => {
  const statuses: readonly number[] = Object.values(exitCodes)
  for (const [code, {exit, help}] of Object.entries(failures)) {
    expect(code).toMatch(/^vmctl::[a-z]+(?:::[a-z_]+)?$/)
    expect(statuses, code).toContain(exit)
    expect(exit, code).not.toBe(0)
    expect(help, code).toMatch(/^\S.*[.?]$/)
  }
})

test('every failure is one that some part of the program reports', () => {
  const sources = resolve(import.meta.dirname, '..')
  const text = readdirSync(sources, {recursive: true, encoding: 'utf8'})
    .filter((path) => /(?<!\.test)\.ts$/.test(path) && path !== join('model', 'failures.ts'))
    .map((path) => readFileSync(join(sources, path), 'utf8'))
    .join('\n')
  const wanted = [
    ...Object.keys(commonFailures).map((code) => `'${code}'`),
    ...Object.keys(incusFailures).map((name) => `incusFailures.${name}`),
    ...Object.keys(qemuFailures).map((name) => `qemuFailures.${name}`),
  ]
  expect(wanted.filter((words) => !text.includes(words))).toEqual([])
})

test('no failure of a backend stands in what all share', () => {
  const backends = readdirSync(resolve(import.meta.dirname, '../hypervisor'), {withFileTypes: true}).filter((entry) => entry.isDirectory())
  const own = Object.keys(commonFailures).filter((code) => backends.some(({name}) => code.startsWith(`vmctl::${name}::`)))
  expect(own).toEqual([])
})
