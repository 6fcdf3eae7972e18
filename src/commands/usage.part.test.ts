import {readdirSync} from 'node:fs'

import {expect, test} from 'vitest'

import {makeWorkspace, runShell, spawnCommand} from '../../test/support/run-command.ts'

test.each([
  ['a word of another tool', ['halt', 'web'], 'vmctl::usage::unknown_command', 'vmctl stop VM'],
  ['a slip that looks like destroy', ['detsroy', 'web'], 'vmctl::usage::unknown_command', 'vmctl destroy --help'],
  ['a flag that does not exist', ['list', '--verbos'], 'vmctl::usage::unknown_flag', 'vmctl list --help'],
  ['an argument too many', ['list', 'web'], 'vmctl::usage::invalid', 'vmctl status VM'],
  ['a command for ssh without dashes', ['ssh', 'web', 'uptime'], 'vmctl::usage::invalid', 'vmctl ssh VM -- COMMAND'],
  ['an argument that is missing', ['destroy'], 'vmctl::usage::invalid', 'vmctl destroy --help'],
  ['a value that is missing', ['up', '--name'], 'vmctl::usage::invalid', 'vmctl up --help'],
  ['a value that does not fit', ['create', '--name', 'x', '--vcpus', 'two'], 'vmctl::usage::invalid', 'vmctl create --help'],
  ['a size that is none', ['create', '--name', 'x', '--memory', 'much'], 'vmctl::usage::invalid', 'vmctl create --help'],
  ['flags that exclude each other', ['provision', '--step', '1', '--all'], 'vmctl::usage::invalid', 'vmctl provision --help'],
  ['a number that is none', ['provision', '--step', 'one'], 'vmctl::usage::invalid', 'vmctl provision --help'],
  ['a flag of another command', ['up', '--rerun', '3'], 'vmctl::usage::unknown_flag', '`vmctl plan` and `vmctl provision`'],
  ['a flag of a command in front of it', ['--name', 'web', 'up'], 'vmctl::usage::unknown_flag', 'vmctl COMMAND --name'],
  ['a flag that destroys, misspelt', ['down', '--volume'], 'vmctl::usage::unknown_flag', 'vmctl down --help'],
  ['a flag of another tool', ['up', '-d'], 'vmctl::usage::unknown_flag', 'leave the flag out'],
  ['-f that means force', ['destroy', '-f', 'web'], 'vmctl::usage::invalid', 'leave -f out'],
  ['-f that means force, without a value', ['destroy', 'web', '-f'], 'vmctl::usage::invalid', 'leave -f out'],
  ['a slip below a command', ['plugins', 'instal', 'x'], 'vmctl::usage::unknown_command', 'vmctl plugins install'],
  ['a slip in a topic', ['imag', 'list'], 'vmctl::usage::unknown_command', 'vmctl image'],
  ['a word of another tool below a topic', ['volume', 'prune'], 'vmctl::usage::unknown_command', 'vmctl volume rm --help'],
  ['a command that a topic does not have', ['image', 'nosuch'], 'vmctl::usage::unknown_command', 'vmctl image --help'],
  ['no VM where one is needed', ['status'], 'vmctl::usage::invalid', 'vmctl list'],
  ['a shell that is not known', ['completion', 'powershell'], 'vmctl::usage::invalid', 'vmctl completion --help'],
])('%s: one voice, status 2, JSON under --json', async (_what, words, code, help) => {
  using workspace = makeWorkspace()
  const ran = await spawnCommand(words, {cwd: workspace.directory})
  expect(ran).toMatchObject({exitCode: 2, stdout: ''})
  expect(ran.stderr).toMatch(/^error\[[a-z_:]+\]: [^\n]+\n {2}help: [^\n]+\n$/)
  expect(ran.stderr).toContain(`error[${code}]: `)
  expect(ran.stderr).toContain(help)
  const json = await spawnCommand(['--json', ...words], {cwd: workspace.directory})
  expect(json).toMatchObject({exitCode: 2, stderr: '', json: {error: {code, help: expect.stringContaining(help)}}})
})

test('a suggestion is never a question, also on a terminal, and nothing is run', async () => {
  using workspace = makeWorkspace()
  await spawnCommand(['create', '--name', 'slow', '--image', workspace.image])
  for (const words of ['detsroy slow', 'halt slow', 'reboot slow', 'rm slow']) {
    const ran = await runShell(`printf '\\r\\r\\ry\\r' | script -qefc "$(declare -f vmctl); vmctl ${words}" /dev/null`, {
      env: {SHELL: '/bin/bash'},
    })
    expect(ran.exitCode, words).toBe(2)
    expect(ran.stdout).toContain('vmctl::usage::unknown_command')
  }
  expect(readdirSync(`${workspace.stateDirectory}/vms`)).toEqual(['slow'])
})

test('--debug tells what is done, on standard error', async () => {
  using workspace = makeWorkspace()
  const {stderr, json} = await spawnCommand(['--debug', 'create', '--name', 'web', '--image', workspace.image, '--json'])
  expect(stderr).toContain('DEBUG ')
  expect(json).toMatchObject({name: 'web'})
  expect((await spawnCommand(['list', '--json'])).stderr).toBe('')
})

test('--debug shows where a failure began', async () => {
  using workspace = makeWorkspace()
  const {stderr, exitCode} = await spawnCommand(['--debug', 'start', 'nosuch'], {cwd: workspace.directory})
  expect(exitCode).toBe(3)
  expect(stderr).toMatch(/DEBUG cli: VmctlError: There is no VM named "nosuch"[^\n]*\n\s+at requireVm [^\n]*store\.ts/)
})
