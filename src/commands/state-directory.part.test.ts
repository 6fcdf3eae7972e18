import {execFileSync} from 'node:child_process'
import {chmodSync, chownSync, mkdirSync, readdirSync, symlinkSync, writeFileSync} from 'node:fs'
import {join, resolve} from 'node:path'

import {expect, test} from 'vitest'

import {makeWorkspace, runCommand} from '../../test/support/run-command.ts'

test('a state directory that cannot be is an error of every command that names it, and nothing is made elsewhere', async () => {
  using workspace = makeWorkspace()
  const {directory} = workspace
  const here = (name: string): string => join(directory, name)
  workspace.write('VMFile.kdl', 'vm "web" { image "base.qcow2"; }')
  writeFileSync(here('file'), '')
  symlinkSync('nowhere', here('dangling'))
  symlinkSync('loop', here('loop'))
  execFileSync('mkfifo', [here('fifo')])
  for (const name of ['open', 'other', 'blocked', 'led-astray']) mkdirSync(here(name), 0o700)
  chmodSync(here('open'), 0o777)
  writeFileSync(here('blocked/vms'), '')
  symlinkSync('/nonexistent/vms', here('led-astray/vms'))
  const blocked = ['file', 'file/x', 'dangling', 'dangling/x', 'loop', 'loop/x', 'fifo', 'fifo/x', 'open', 'blocked', 'led-astray']
  const special = ['/proc/nope', '/proc/self/nope', '/sys/nope', '/dev/null', '/dev/null/x']
  const long = ['x'.repeat(300), `${'y'.repeat(200)}/`.repeat(30)]
  if (process.getuid?.() === 0) {
    chownSync(here('other'), 65_534, 65_534)
    blocked.push('other')
  }
  const before = readdirSync(directory)
  for (const path of [...blocked, ...special, ...long]) {
    process.env.VMCTL_STATE_DIR = resolve(directory, path)
    for (const words of [['create', 'web', '--image', here('base.qcow2')], ['up', '--file', here('VMFile.kdl')], ['list']]) {
      const {exitCode, stderr} = await runCommand(...words)
      expect({path, words, exitCode, stderr}).toEqual({
        path,
        words,
        exitCode: 4,
        stderr: expect.stringMatching(/^error\[vmctl::[a-z_:]+\]: .+\n(?: {2}because: .+\n)? {2}help: .+\n$/),
      })
    }
  }
  expect(readdirSync(directory).toSorted()).toEqual(before.toSorted())
})
