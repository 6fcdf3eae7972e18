import {existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, beforeAll, expect, test} from 'vitest'

import {runCommand, spawnCommand} from '../../test/support/run-command.ts'

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'vmctl-import-'))
  writeFileSync(
    join(directory, 'Vagrantfile'),
    'Vagrant.configure("2") do |config|\n  config.vm.box = "debian/bookworm64"\n  config.vm.network "public_network"\nend\n',
  )
  writeFileSync(join(directory, 'docker-compose.yaml'), 'services: {web: {image: nginx}}\n')
  writeFileSync(join(directory, 'holos.yaml'), 'services: {web: {vm: {vcpu: 2}}}\n')
})
afterAll(() => rmSync(directory, {recursive: true, force: true}))

test('a file is written, what is left out is said, and the next step', async () => {
  const output = join(directory, 'out.kdl')
  const {exitCode, stdout, stderr} = await runCommand('import', join(directory, 'Vagrantfile'), '--output', output)
  expect(exitCode).toBe(0)
  expect(stdout).toBe(`${output} is written.\n`)
  expect(stderr).toMatch(
    /^Warning: line 3: public_network is left out: .*\nNote: `vagrant reload` is `vmctl restart`; .*\nNote: .*\nNext: vmctl validate --file .*out\.kdl, then vmctl up --file .*out\.kdl\n$/,
  )
  expect(await runCommand('validate', '--file', output)).toMatchObject({exitCode: 0})
  expect(await runCommand('import', join(directory, 'Vagrantfile'), '--output', output)).toMatchObject({
    exitCode: 2,
    stderr: expect.stringContaining('error[vmctl::import::exists]'),
  })
})

test('in the directory of the VMFile the next step needs no path', async () => {
  const {exitCode, stdout, stderr} = await spawnCommand(['import', 'Vagrantfile', '-o', 'VMFile.kdl'], {cwd: directory})
  expect([exitCode, stdout]).toEqual([0, 'VMFile.kdl is written.\n'])
  expect(stderr).toMatch(/\nNext: vmctl validate, then vmctl up\n$/)
})

test('a result that is not valid is written as a whole, and the exit status says so', async () => {
  const output = join(directory, 'invalid.kdl')
  const {exitCode, stderr} = await runCommand('import', join(directory, 'holos.yaml'), '--output', output)
  expect(exitCode).toBe(2)
  expect(stderr).toContain('error[vmctl::import::invalid]')
  expect(stderr).toContain('no image specified')
  expect(stderr).not.toContain('Next:')
  expect(readFileSync(output, 'utf8')).toContain('vcpus 2')
  expect((await runCommand('import', join(directory, 'holos.yaml'), '--json')).json.error).toMatchObject({
    code: 'vmctl::import::invalid',
    text: expect.stringContaining('vcpus 2'),
    problems: [{message: 'no image specified'}],
  })
})

test('what is refused leaves no file', async () => {
  const output = join(directory, 'none.kdl')
  const {exitCode, stderr} = await runCommand('import', join(directory, 'docker-compose.yaml'), '--output', output)
  expect(exitCode).toBe(2)
  expect(stderr).toContain('this is a Docker Compose file')
  expect(existsSync(output)).toBe(false)
})
