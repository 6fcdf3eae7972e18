import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {
  appendFileSync,
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import {join} from 'node:path'

import {afterAll, beforeAll, describe, expect, test, vi} from 'vitest'

import {temporaryDirectory} from '../../test/support/builders.ts'
import {describeUnless} from '../../test/support/programs.ts'
import {type Project, startProject} from '../../test/support/project.ts'
import {makeWorkspace, runCommand, spawnCommand, vmctlWords} from '../../test/support/run-command.ts'
import {sshdMissing} from '../../test/support/sshd.ts'

/** Names, types, modes, times of files, targets and contents. */
const describeTree = (root: string): unknown[] =>
  readdirSync(root, {recursive: true, encoding: 'utf8'})
    .toSorted()
    .map((name) => {
      const path = join(root, name)
      const info = lstatSync(path)
      if (info.isSymbolicLink()) return [name, readlinkSync(path)]
      return [name, info.mode, ...(info.isFile() ? [Math.floor(info.mtimeMs / 1000), readFileSync(path, 'utf8')] : [])]
    })

const makeTree = (root = join(temporaryDirectory(), 'source')): string => {
  mkdirSync(join(root, 'sub/empty'), {recursive: true})
  for (const name of ['-f', "it's", 'sub/line\nfeed', 'sub/ü']) writeFileSync(join(root, name), name)
  chmodSync(join(root, '-f'), 0o751)
  chmodSync(join(root, 'sub'), 0o750)
  utimesSync(join(root, '-f'), 1_000_000_000, 1_000_000_000)
  symlinkSync('/no/such', join(root, 'link'))
  return root
}

const leftovers = (directory: string): string[] =>
  readdirSync(directory, {recursive: true, encoding: 'utf8'}).filter((name) => name.includes('.vmctl'))

describeUnless(sshdMissing())('a guest that has SFTP and no shell', () => {
  let project: Project
  let there: string
  beforeAll(async () => {
    project = await startProject({config: ['Subsystem sftp internal-sftp', 'ForceCommand internal-sftp'], ssh: 'shell #false'})
    there = join(project.workspace.directory, 'guest')
    const {workspace} = project
    makeTree(join(workspace.directory, 'app'))
    workspace.write('app.conf', 'one\n')
    const steps = [
      `provision "file" { source "app.conf"; destination "${there}/etc/app.conf"; mode "640"; }`,
      `provision "file" { source "app"; destination "${there}/app"; mirror #true; }`,
    ]
    expect(await project.run(project.vm('box', `healthcheck { tcp ${project.sshd.port}; }\n${steps.join('\n')}`), 'up')).toMatchObject({
      exitCode: 0,
    })
  })
  afterAll(() => project[Symbol.asyncDispose]())

  test('files and trees are there after `up`, with their modes and times', () => {
    expect(readFileSync(join(there, 'etc/app.conf'), 'utf8')).toBe('one\n')
    expect(statSync(join(there, 'etc/app.conf')).mode & 0o777).toBe(0o640)
    expect(describeTree(join(there, 'app'))).toEqual(describeTree(join(project.workspace.directory, 'app')))
    expect(leftovers(there)).toEqual([])
  })

  test('what has changed is brought, and what is superfluous goes', async () => {
    const app = join(project.workspace.directory, 'app')
    const before = statSync(join(there, "app/it's")).ino
    writeFileSync(join(app, '-f'), '-g')
    utimesSync(join(app, '-f'), 1_000_000_000, 1_000_000_000)
    mkdirSync(join(app, 'new/dir'), {recursive: true})
    appendFileSync(join(app, 'new/dir/file'), 'new')
    rmSync(join(app, 'link'))
    writeFileSync(join(there, 'app/sub/superfluous'), '')
    const {exitCode, stdout} = await project.run(undefined, 'up')
    expect({exitCode, stdout}).toMatchObject({exitCode: 0, stdout: expect.stringContaining('4 sent, 5 unchanged, 2 removed')})
    expect(describeTree(join(there, 'app'))).toEqual(describeTree(app))
    expect(statSync(join(there, "app/it's")).ino).toBe(before)
  })

  test('`cp` brings files and trees both ways', async () => {
    const source = makeTree()
    const [target, back] = [join(there, 'cp/deep/tree'), join(temporaryDirectory(), 'back')]
    expect((await runCommand('cp', source, `box:${target}`, '--json')).json).toMatchObject({kind: 'directory', sent: 7, unchanged: 0})
    expect(describeTree(target)).toEqual(describeTree(source))
    expect((await runCommand('cp', source, `box:${target}`, '--json')).json).toMatchObject({sent: 0, unchanged: 7})
    expect((await runCommand('cp', `box:${target}`, back, '--json')).json).toMatchObject({kind: 'directory'})
    expect(describeTree(back)).toEqual(describeTree(source))
    const big = join(temporaryDirectory(), 'big')
    writeFileSync(big, Buffer.alloc(5_000_001, 'abc'))
    chmodSync(big, 0o444)
    await runCommand('cp', big, `box:${there}/`)
    await runCommand('cp', `box:${there}/big`, `${back}/`)
    expect(readFileSync(join(back, 'big')).equals(readFileSync(big))).toBe(true)
    expect(statSync(join(back, 'big')).mode & 0o777).toBe(0o444)
    expect(leftovers(there)).toEqual([])
  })

  test('what there is not, and what cannot be written, is told', async () => {
    expect((await runCommand('cp', 'box:/no/such', temporaryDirectory(), '--json')).json.error).toMatchObject({
      code: 'vmctl::guest::not_found',
    })
    const own = join(project.workspace.directory, 'app.conf')
    const {error} = (await runCommand('cp', own, `box:/proc/nothing/file`, '--json')).json
    expect(error).toMatchObject({code: 'vmctl::guest::copy_failed', message: expect.stringContaining('/proc/nothing')})
    const privileged = (await runCommand('cp', own, `box:${there}/x`, '--privileged', '--json')).json
    expect(privileged.error).toMatchObject({code: 'vmctl::guest::no_shell'})
    const packaged = (await runCommand('package', 'box', '--output', join(there, 'x.qcow2'), '--json')).json
    expect(packaged.error.code).toMatch(/no_shell|not_available/)
  })

  test('a copy that is killed leaves nothing half in its place', async () => {
    const big = join(temporaryDirectory(), 'big')
    writeFileSync(big, Buffer.alloc(200 * 2 ** 20))
    const target = join(there, 'half')
    const child = spawn(process.execPath, [...vmctlWords, 'cp', big, `box:${target}`], {stdio: 'ignore'})
    const ended = once(child, 'close')
    await vi.waitFor(() => expect(leftovers(there).length > 0 || child.exitCode !== null).toBe(true), {timeout: 60_000, interval: 2})
    child.kill('SIGKILL')
    expect(await ended).toEqual([null, 'SIGKILL'])
    expect(existsSync(target)).toBe(false)
    expect(await runCommand('cp', join(project.workspace.directory, 'app.conf'), `box:${target}`)).toMatchObject({exitCode: 0})
    expect(readFileSync(target, 'utf8')).toBe('one\n')
  })
})

describeUnless(sshdMissing())('a guest with a command line of its own', () => {
  let project: Project
  beforeAll(async () => {
    // It shows what it was given, as an appliance would parse it.
    project = await startProject({config: ['ForceCommand printf "%s" "$SSH_ORIGINAL_COMMAND"'], ssh: 'shell #false'})
    expect(await project.run(project.vm('box'), 'up')).toMatchObject({exitCode: 0})
  })
  afterAll(() => project[Symbol.asyncDispose]())

  test.each([
    [['ssh', 'box', '--', 'show ip route | begin 10']],
    [['ssh', 'box', '--', 'show', 'ip', 'route', '|', 'begin', '10']],
    [['exec', 'box', 'show', 'ip', 'route', '|', 'begin', '10']],
  ])('gets what %j says, as it is', async (words) => {
    expect(await spawnCommand(words)).toMatchObject({exitCode: 0, stdout: 'show ip route | begin 10'})
  })

  test('with several at once too, and says why a directory is not possible', async () => {
    const {json} = await runCommand('exec', '--json', 'box', '--', 'show version')
    expect(json).toMatchObject({vms: [{name: 'box', exitCode: 0}]})
    expect(await spawnCommand(['exec', '-w', '/', 'box', 'ls'])).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('shell #false'),
    })
  })

  test('has no SFTP, and that is said', async () => {
    const {error} = (await runCommand('cp', 'box:/etc/hosts', temporaryDirectory(), '--json')).json
    expect(error).toMatchObject({code: expect.stringMatching(/no_sftp|copy_failed/)})
  })
})

describe('what needs a shell', () => {
  test.each([
    ['provision "shell" { inline "true"; }', 'provision "shell" needs a shell'],
    ['provision "reboot"', 'provision "reboot" needs a shell'],
    ['provision "file" { source "base.qcow2"; destination "/x"; privileged #true; }', 'working as root needs a shell'],
    ['provision "file" { source "base.qcow2"; destination "/x"; owner "root"; }', 'another owner needs a shell'],
    ['healthcheck { test "true"; }', 'a test by a program needs a shell'],
    ['env A="b"', 'env needs a shell'],
    ['share "." "/srv"', 'a share needs a shell'],
  ])('%s is refused at its line', async (line, message) => {
    using workspace = makeWorkspace()
    const path = workspace.write('VMFile.kdl', `vm "box" {\n  image "base.qcow2"\n  ssh { user "admin"; shell #false; }\n  ${line}\n}\n`)
    const {exitCode, json} = await runCommand('validate', '--file', path, '--json')
    expect(exitCode).toBe(2)
    expect(json.error.problems).toMatchObject([{line: 4, message: expect.stringContaining(message)}])
  })
})
