import {spawnSync} from 'node:child_process'
import {chmod, mkdtemp, rm, symlink, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, beforeAll, expect, test} from 'vitest'

import {elevate} from '../model/elevate.ts'

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'vmctl-elevate-'))
})
afterAll(() => rm(root, {recursive: true}))

/** Runs a command line in a guest that has only these programs. */
const runWith = async (
  programs: Readonly<Record<string, string>>,
  command: string,
): Promise<{status: number | null; stdout: string; stderr: string}> => {
  const directory = await mkdtemp(join(root, 'bin-'))
  await symlink('/bin/sh', join(directory, 'sh'))
  for (const [name, script] of Object.entries(programs)) {
    await writeFile(join(directory, name), `#!/bin/sh\n${script}\n`)
    await chmod(join(directory, name), 0o755)
  }
  return spawnSync('/bin/sh', ['-c', command], {env: {PATH: directory}, encoding: 'utf8'})
}

const showAndRun = 'echo "$0 $1 $2 $3" >&2; while [ "$1" != sh ]; do shift; done; exec "$@"'
const command = elevate(`printf '%s\\n' "it's" '$HOME' "a  b"; exit 3`)

test('root needs no help', async () => {
  expect(await runWith({id: 'echo 0', sudo: 'exit 99'}, command)).toMatchObject({status: 3, stdout: "it's\n$HOME\na  b\n"})
})

test('sudo comes before doas; neither may ask for a password', async () => {
  const both = await runWith({id: 'echo 1000', sudo: showAndRun, doas: 'exit 99'}, command)
  expect(both).toMatchObject({status: 3, stdout: "it's\n$HOME\na  b\n", stderr: expect.stringMatching(/sudo -n -H --\n/)})
  const doas = await runWith({id: 'echo 1000', doas: showAndRun}, command)
  expect(doas).toMatchObject({status: 3, stdout: "it's\n$HOME\na  b\n", stderr: expect.stringMatching(/doas -n -- sh\n/)})
})

test('a guest with neither says so', async () => {
  expect(await runWith({id: 'echo 1000'}, command)).toMatchObject({
    status: 126,
    stdout: '',
    stderr: expect.stringContaining('neither sudo nor doas'),
  })
})
