import {execFileSync} from 'node:child_process'
import {createServer} from 'node:net'

import {expect} from 'vitest'

import type {VmSummary} from '../../src/engine/show/inspect.ts'
import {expectSuccess} from '../support/vm-lab.ts'
import {qemusBelow} from '../support/vm-processes.ts'
import {scenario} from '../support/vm-scenario.ts'
import {makeDisk} from '../support/vmctl-process.ts'

/** Every VM has an SSH port of its own, which it keeps. The disks are empty: nothing boots, QEMU only binds. */
const {lab, step} = scenario('ports')

const names = ['a', 'b', 'c', 'd', 'e']
const ports = async (): Promise<Record<string, number | undefined>> => {
  const {vms} = await lab.json<{vms: VmSummary[]}>('list')
  return Object.fromEntries(vms.map(({name, sshPort}) => [name, sshPort]))
}
let first: Record<string, number | undefined> = {}

step('five VMs that are created and started at once get five different ports of the range of the book', async () => {
  makeDisk(`${lab.project}/empty.qcow2`, '16M')
  const outcomes = await Promise.all(
    names.map((name) => lab.vmctl('create', '--name', name, '--image', 'empty.qcow2', '--memory', '64', '--start')),
  )
  outcomes.forEach(expectSuccess)
  first = await ports()
  expect(Object.keys(first)).toEqual(names)
  expect(new Set(Object.values(first)).size).toBe(5)
  for (const port of Object.values(first)) {
    expect(port).toBeGreaterThanOrEqual(10_022)
    expect(port).toBeLessThanOrEqual(10_122)
  }
  expect(qemusBelow(lab.root)).toHaveLength(5)
})

step('they keep their ports over a restart, also when all start at once', async () => {
  ;(await Promise.all(names.map((name) => lab.vmctl('stop', name, '--timeout', '0')))).forEach(expectSuccess)
  expect(await ports()).toEqual(first)
  ;(await Promise.all(names.toReversed().map((name) => lab.vmctl('start', name)))).forEach(expectSuccess)
  expect(await ports()).toEqual(first)
})

step('a VM whose port another program has taken meanwhile starts on another port', async () => {
  await lab.ok('stop', 'a', '--timeout', '0')
  const thief = createServer().listen(first.a, '127.0.0.1')
  await new Promise((resolve) => thief.once('listening', resolve))
  try {
    await lab.ok('start', 'a')
    const now = await ports()
    expect(now.a).not.toBe(first.a)
    expect(new Set(Object.values(now)).size).toBe(5)
    const listening = execFileSync('ss', ['-Hlntp'], {encoding: 'utf8'})
      .split('\n')
      .find((line) => line.includes(`:${now.a} `))
    expect(listening).toContain(`pid=${(await lab.status('a')).pid},`)
  } finally {
    thief.close()
  }
})

step('a stopped VM does not lose its port to a new VM', async () => {
  await lab.ok('stop', 'b', '--timeout', '0')
  await lab.ok('destroy', 'c')
  await lab.ok('create', '--name', 'c2', '--image', 'empty.qcow2', '--memory', '64')
  const now = await ports()
  expect(now.b).toBe(first.b)
  expect(new Set(Object.values(now)).size).toBe(5)
})
