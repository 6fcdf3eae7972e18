import {join} from 'node:path'

import {expect} from 'vitest'

import {eventually, inline, microVm} from '../support/vm-guests.ts'
import {expectSuccess} from '../support/vm-lab.ts'
import {qemusBelow} from '../support/vm-processes.ts'
import {scenario} from '../support/vm-scenario.ts'

/** No character of a path has a meaning, and no path is too long: neither for QEMU's options, nor for sockets, nor for ssh. */
const odd = `it's, a "state" %h $HOME;=äöü\\x [1]`
const {lab, step} = scenario('odd', {stateDirectory: (root) => join(root, odd, 'n'.repeat(80))})

step('up works in a directory with blanks, commas, quotes and UTF-8 whose path is too long for a socket', async () => {
  expect(Buffer.byteLength(join(lab.directory('odd.name_1'), 'vmctl.sock'))).toBeGreaterThan(107)
  lab.write(`files, "x"/a 'b' %d.txt`, 'content\n')
  lab.write(
    'VMFile.kdl',
    microVm(
      'odd.name_1',
      [
        `    provision "file" { source ${JSON.stringify(`files, "x"/a 'b' %d.txt`)}; destination "/home/dev/c d.txt"; }`,
        inline('cat "c d.txt"'),
      ].join('\n'),
    ).replace('hostname "odd.name_1"', 'hostname "odd"'),
  )
  expect((await lab.ok('up')).stdout).toContain('content\n')
})

step('status, ssh, suspend, resume, log and console reach the VM there', async () => {
  expect((await lab.status('odd.name_1')).state).toBe('running')
  expect(await lab.guest('odd.name_1', 'hostname')).toBe('odd')
  await lab.ok('suspend', 'odd.name_1')
  expect((await lab.status('odd.name_1')).state).toBe('suspended')
  await lab.ok('resume', 'odd.name_1')
  expect((await lab.ok('log', 'odd.name_1', '--provision')).stdout).toContain('content')
  const console = lab.start(['console', 'odd.name_1'])
  await eventually(() => expect(console.written.stderr).toContain('Connected'))
  console.type('\r')
  console.type('echo $((6 * 7))-seen\r')
  await eventually(() => expect(console.written.stdout).toContain('42-seen'))
  console.type('\x1d')
  expectSuccess(await console.outcome)
})

step('a project directory of such a name works as well, and down --destroy leaves nothing', async () => {
  const cwd = join(lab.root, odd, 'project')
  lab.write(join(cwd, 'VMFile.kdl'), microVm('second'))
  expectSuccess(await lab.run(['plan'], {cwd}))
  expectSuccess(await lab.run(['validate'], {cwd}))
  await lab.ok('down')
  await lab.ok('up', '--no-provision')
  await lab.ok('down', '--destroy')
  expect(qemusBelow(lab.root)).toEqual([])
  expect(await lab.json('list')).toEqual({vms: []})
})
