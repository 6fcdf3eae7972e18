import {existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {afterEach, beforeEach, describe, expect, test} from 'vitest'

import {makeWorkspace, runCommand, type Workspace} from '../../test/support/run-command.ts'

const home = process.cwd()
let workspace: Workspace
let folder: string
const enter = (name: string): void => {
  folder = join(workspace.directory, name)
  mkdirSync(folder, {recursive: true})
  process.chdir(folder)
}
beforeEach(() => {
  workspace = makeWorkspace()
  enter('web')
})
afterEach(() => {
  process.chdir(home)
  workspace[Symbol.dispose]()
})

const text = (): string => readFileSync(join(folder, 'VMFile.kdl'), 'utf8')

const warnings = async (): Promise<unknown> => {
  const {stderr, exitCode, json} = await runCommand('validate', '--json')
  expect({stderr, exitCode}).toEqual({stderr: '', exitCode: 0})
  return json.warnings
}

describe('init', () => {
  test('writes a VMFile that is valid, and says what comes next', async () => {
    const ran = await runCommand('init')
    expect(ran).toMatchObject({
      exitCode: 0,
      stdout: 'VMFile.kdl is written; it defines web.\n',
      stderr: 'Next: vmctl up, then vmctl ssh web\n',
    })
    expect(text()).toContain('vm "web" {\n    image "debian:12"\n')
    expect(await warnings()).toEqual([])
  })

  test('each of its comments may be taken away', async () => {
    await runCommand('init')
    const whole = text().replaceAll(/^( +)\/\/ (?=\w+ (?:"|\d))/gm, '$1')
    expect(whole.match(/^ +\w[\w-]* /gm)?.map((word) => word.trim())).toEqual([
      ...['image', 'vcpus', 'memory', 'disk', 'cloud-init', 'packages', 'port', 'share', 'provision'],
    ])
    writeFileSync('VMFile.kdl', whole)
    expect(await warnings()).toEqual([])
  })

  test.each([
    ['ubuntu:24.04', 'image "ubuntu:24.04"'],
    ['https://example.org/a.qcow2', 'image-url "https://example.org/a.qcow2"'],
    ['../base.qcow2', 'image "../base.qcow2"'],
  ])('takes the image %s', async (image, line) => {
    expect((await runCommand('init', image, '--json')).json).toEqual({path: join(process.cwd(), 'VMFile.kdl'), vm: 'web', image})
    expect(text()).toContain(`    ${line}\n`)
    expect(await warnings()).toEqual([])
  })

  test.each([
    ['debain:12', 3, 'Did you mean "debian:12"?'],
    ['https://example.org/a b.qcow2', 2, 'this is not a URL'],
    ['ftp://example.org/a.qcow2', 2, 'URLs of the scheme ftp: are not supported'],
  ])('writes nothing for the image %s', async (image, status, advice) => {
    const {exitCode, stderr} = await runCommand('init', image)
    expect(exitCode).toBe(status)
    expect(stderr).toContain(advice)
    expect(existsSync('VMFile.kdl')).toBe(false)
  })

  test.each([
    ['Übung & Spaß', 'ubung-spa'],
    ['--', 'vm'],
    ['My_Project.v2', 'my-project-v2'],
    [`${'a'.repeat(60)}.b`, 'a'.repeat(56)],
  ])('makes a name of the folder %s', async (name, expected) => {
    enter(name)
    expect((await runCommand('init', '--json')).json).toMatchObject({vm: expected})
    expect(await warnings()).toEqual([])
  })

  test('takes no name that a VM has already', async () => {
    await runCommand('create', 'web', '--image', '../base.qcow2')
    expect((await runCommand('init', '--json')).json).toMatchObject({vm: 'web-2'})
  })

  test('replaces nothing', async () => {
    for (const make of [() => writeFileSync('VMFile.kdl', 'mine'), () => symlinkSync('nowhere', 'VMFile.kdl')]) {
      enter(`${folder}x`.slice(workspace.directory.length + 1))
      make()
      const ran = await runCommand('init', 'debian:13')
      expect(ran).toMatchObject({exitCode: 2, stdout: ''})
      expect(ran.stderr).toContain('error[vmctl::vmfile::exists]')
    }
    expect(existsSync('nowhere')).toBe(false)
    expect(readFileSync('../webx/VMFile.kdl', 'utf8')).toBe('mine')
  })

  test('names what can be imported, and begins anew with an image', async () => {
    writeFileSync('Vagrantfile', '')
    const ran = await runCommand('init')
    expect(ran).toMatchObject({exitCode: 2, stdout: ''})
    expect(ran.stderr).toContain(
      '`vmctl import Vagrantfile --output VMFile.kdl` makes a VMFile of Vagrantfile. `vmctl init IMAGE` begins one anew.',
    )
    expect(existsSync('VMFile.kdl')).toBe(false)
    expect(await runCommand('init', 'debian')).toMatchObject({exitCode: 0})
  })
})

describe('without a VMFile', () => {
  test.each([
    ['Vagrantfile', '', '`vmctl import Vagrantfile --output VMFile.kdl`'],
    ['holos.yaml', '', '`vmctl import holos.yaml --output VMFile.kdl`'],
    ['qemu-compose.yml', '', '`vmctl import qemu-compose.yml --output VMFile.kdl`'],
    ['docker-compose.yml', '', 'its images are containers'],
    ['compose.yaml', '', 'its images are containers'],
    ['my vm.xml', '<?xml version="1.0"?>\n<domain type="kvm">', "`vmctl import 'my vm.xml' --output VMFile.kdl`"],
    ['feed.xml', '<rss>', 'Make one with `vmctl init`'],
    ['Vmfile.kdl', '', '`mv Vmfile.kdl VMFile.kdl`'],
    ['README', '', 'Make one with `vmctl init`'],
  ])('up names what to do about %s', async (name, content, advice) => {
    writeFileSync(name, content)
    const {exitCode, stderr} = await runCommand('up')
    expect(exitCode).toBe(2)
    expect(stderr).toContain(`There is no VMFile.kdl in ${process.cwd()} or above it.`)
    expect(stderr).toContain(advice)
  })

  test('that of a directory above is taken, which is said; its paths start there, and its names are known here', async () => {
    workspace.write('VMFile.kdl', 'vm "a" { image "base.qcow2"; }\nvm "b" { image "base.qcow2"; }\n')
    const validated = await runCommand('validate')
    expect(validated).toMatchObject({exitCode: 0, stderr: 'Using ../VMFile.kdl.\n'})
    expect((await runCommand('validate', '--json')).json).toMatchObject({path: join(workspace.directory, 'VMFile.kdl'), vms: ['a', 'b']})
    expect((await runCommand('stop', 'a')).stderr).toContain(`a is not created yet; ${join(workspace.directory, 'VMFile.kdl')} defines it.`)
    expect(await runCommand('up', '--no-provision')).toMatchObject({exitCode: 0})
    expect((await runCommand('ps', '--json')).json.vms).toHaveLength(2)
    expect((await runCommand('validate', '--file', '../VMFile.kdl')).stderr).toBe('')
  })
})
