import {execFileSync} from 'node:child_process'
import {existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'

import {afterAll, afterEach, beforeAll, describe, expect, test} from 'vitest'

import {openEngine} from '../engine/engine.ts'
import {holdCopies} from '../engine/vm/copy.ts'
import {digestOf} from '../../test/support/images.ts'
import {makeWorkspace, runCommand, spawnCommand, type Workspace} from '../../test/support/run-command.ts'

let workspace: Workspace
beforeAll(async () => {
  workspace = makeWorkspace()
  const file = workspace.write('VMFile.kdl', `vm "web" { image "${workspace.image}"; ssh { user "dev"; } }\n`)
  expect(await runCommand('up', '--no-provision', '--file', file)).toMatchObject({exitCode: 0})
})
afterEach(() => entries().forEach((name) => rmSync(path(name), {recursive: true})))
afterAll(() => workspace[Symbol.dispose]())

/** `-o` is taken below the workspace. */
const run = (...words: readonly string[]) =>
  runCommand('package', 'web', '--no-clean', ...words.map((word, index) => (words[index - 1] === '-o' ? path(word) : word)))

const spawned = (env: NodeJS.ProcessEnv = {}) => spawnCommand(['package', 'web', '--no-clean', '--force'], {cwd: workspace.directory, env})

const path = (name: string): string => join(workspace.directory, name)
const facts = (name: string) => JSON.parse(readFileSync(path(`${name}.json`), 'utf8'))
const entries = (): readonly string[] =>
  readdirSync(workspace.directory)
    .filter((name) => /^\.?web|^\.?out/.test(name))
    .toSorted()
const vms = (): readonly string[] => readdirSync(join(workspace.stateDirectory, 'vms'))
const same = (image: string, format: string): void => {
  execFileSync('qemu-img', ['compare', '-q', '-f', format, '-F', 'qcow2', image, workspace.image])
}

describe('each format', () => {
  test.each([
    ['qcow2', 'out.qcow2', 'qcow2'],
    ['raw', 'out.raw', 'raw'],
    ['vmdk', 'out.vmdk', 'vmdk'],
  ])('%s', async (format, name, qemu) => {
    const made = await run('-o', name, '--json')
    expect(made).toMatchObject({exitCode: 0})
    expect(made.json).toMatchObject({name: 'web', path: path(name), format, files: [path(name), path(`${name}.json`)], cleaned: false})
    same(path(name), qemu)
    const sha256 = digestOf(readFileSync(path(name)))
    expect(facts(name)).toMatchObject({schema: 1, image: 'base.qcow2', user: 'dev', firmware: 'bios', format, sha256, cleaned: false})
    expect(made.json.sha256).toBe(sha256)
    // What has its secrets in it is for its owner.
    expect(statSync(path(name)).mode & 0o777).toBe(0o600)
    expect([entries(), vms()]).toEqual([[name, `${name}.json`].toSorted(), ['web']])
  })

  test('raw.zst', async () => {
    expect(await run('-o', 'out.raw.zst')).toMatchObject({exitCode: 0})
    execFileSync('zstd', ['-dq', path('out.raw.zst')])
    same(path('out.raw'), 'raw')
  })

  test('a box for Vagrant', async () => {
    expect(await run('-o', 'out.box')).toMatchObject({exitCode: 0})
    mkdirSync(path('box'))
    execFileSync('tar', ['-xzf', path('out.box'), '-C', path('box')])
    expect(readdirSync(path('box')).toSorted()).toEqual(['Vagrantfile', 'box.img', 'info.json', 'metadata.json'])
    expect(JSON.parse(readFileSync(path('box/metadata.json'), 'utf8'))).toEqual({provider: 'libvirt', format: 'qcow2', virtual_size: 1})
    expect(readFileSync(path('box/Vagrantfile'), 'utf8')).toContain('config.ssh.username = "dev"')
    same(path('box/box.img'), 'qcow2')
  })

  test('a split image for Incus', async () => {
    const made = await run('-o', 'web.qcow2', '--format', 'incus', '--json')
    expect(made.json.files).toEqual(['web.qcow2', 'web.metadata.tar.gz', 'web.qcow2.json'].map(path))
    const metadata = JSON.parse(execFileSync('tar', ['-xzOf', path('web.metadata.tar.gz'), 'metadata.yaml'], {encoding: 'utf8'}))
    expect(metadata).toMatchObject({architecture: 'x86_64', creation_date: expect.any(Number), properties: {name: 'web'}})
    same(path('web.qcow2'), 'qcow2')
  })
})

describe('refused before anything is done', () => {
  test.each([
    [['-o', 'out.img'], 'vmctl::usage::invalid', /does not say which format/],
    [['-o', 'out.box', '--format', 'raw'], 'vmctl::usage::invalid', /ends as box/],
    [['-o', 'no/such/out.raw'], 'vmctl::io', /no\/such/],
    [['-o', '.', '--format', 'raw'], 'vmctl::usage::invalid', /is a directory/],
    [['--keep', 'relative'], 'vmctl::usage::invalid', /absolute path/],
    [['--keep', '/a/../b'], 'vmctl::usage::invalid', /absolute path/],
  ])('%j', async (words, code, message) => {
    const made = await run(...words, '--json')
    expect(made.json.error).toMatchObject({code, message: expect.stringMatching(message)})
    expect([entries(), vms()]).toEqual([[], ['web']])
  })

  test('a VM without a guest', async () => {
    const made = await runCommand('package', 'web', '--json')
    expect(made.json.error).toMatchObject({code: 'vmctl::backend::not_available', message: expect.stringMatching(/no guest to clean/)})
    expect([entries(), vms()]).toEqual([[], ['web']])
  })

  test.each(['web.qcow2', 'web.qcow2.json', 'web.metadata.tar.gz'])('%s is there', async (name) => {
    writeFileSync(path(name), 'precious')
    expect((await run('-o', 'web.qcow2', '--format', 'incus', '--json')).json.error).toMatchObject({code: 'vmctl::image::exists'})
    expect([readFileSync(path(name), 'utf8'), entries()]).toEqual(['precious', [name]])
    expect(await run('-o', 'web.qcow2', '--format', 'incus', '--force')).toMatchObject({exitCode: 0})
    same(path('web.qcow2'), 'qcow2')
    expect(facts('web.qcow2').sha256).toBe(digestOf(readFileSync(path('web.qcow2'))))
  })
})

test('killed at any point, nothing is half-written, and the next run removes what is left', async () => {
  const acts = workspace.write('acts', '')
  expect(await spawned({VMCTL_ACTS: acts})).toMatchObject({exitCode: 0})
  const points = readFileSync(acts, 'utf8').trimEnd().split('\n')
  const made = points.findIndex((point) => /after rename .*\.copy-web-/.test(point))
  const placed = points.findIndex((point) => point.includes(`rename ${path('web.qcow2')}`))
  const whole = readFileSync(path('web.qcow2'))
  // Before anything, in the middle of the copy, and around the moments in which the results get their names.
  for (const at of [3, made + 2, Math.round((made + placed) / 2), placed + 1, placed + 2, placed + 5]) {
    entries().forEach((name) => rmSync(path(name), {recursive: true}))
    // One that is killed while the VM is off leaves it off; that is another number of points.
    await runCommand('start', 'web')
    expect((await spawned({VMCTL_KILL_AT: `${at}`})).exitCode, points[at - 1]).toBe(-1)
    // What has the name is whole.
    if (existsSync(path('web.qcow2'))) expect(readFileSync(path('web.qcow2')).equals(whole), points[at - 1]).toBe(true)
    expect(await run('-o', 'web.qcow2', '--force')).toMatchObject({exitCode: 0})
    expect([entries(), vms()], points[at - 1]).toEqual([['web.qcow2', 'web.qcow2.json'], ['web']])
  }
  expect(made).toBeGreaterThan(0)
  expect(placed).toBeGreaterThan(made)
})

test('of two at once one waits for the other', async () => {
  const both = await Promise.all([spawned(), spawned()])
  expect(both.map(({exitCode}) => exitCode)).toEqual([0, 0])
  same(path('web.qcow2'), 'qcow2')
  expect([entries(), vms()]).toEqual([['web.qcow2', 'web.qcow2.json'], ['web']])
})

test('a file that another one has written meanwhile is found before the VM is stopped for it', async () => {
  const engine = await openEngine({stateDirectory: workspace.stateDirectory})
  const held = await holdCopies(engine, 'web', 'vmctl package web')
  const waiting = spawnCommand(['package', 'web', '--no-clean', '--json'], {cwd: workspace.directory})
  // By then it has looked once, and waits.
  await sleep(2000)
  writeFileSync(path('web.qcow2'), 'precious')
  await held[Symbol.asyncDispose]()
  const {stdout} = await waiting
  expect(JSON.parse(stdout)).toMatchObject({error: {code: 'vmctl::image::exists'}})
  expect(readFileSync(path('web.qcow2'), 'utf8')).toBe('precious')
})

test('destroy removes what a killed one has left', async () => {
  await spawned({VMCTL_KILL_AT: '14'})
  expect(vms().some((name) => name.startsWith('.copy-web-'))).toBe(true)
  expect(await runCommand('destroy', 'web', '--yes')).toMatchObject({exitCode: 0})
  expect(vms()).toEqual([])
})
