import {execFileSync} from 'node:child_process'
import {once} from 'node:events'
import {existsSync, linkSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync} from 'node:fs'
import {createServer} from 'node:http'
import type {AddressInfo} from 'node:net'
import {join} from 'node:path'

import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest'

import {type ImageServer, startImageServer} from '../../test/support/image-server.ts'
import {makeWorkspace, runCommand, runShell, spawnCommand, type Workspace} from '../../test/support/run-command.ts'

let workspace: Workspace
let server: ImageServer
beforeAll(async () => {
  workspace = makeWorkspace()
  server = await startImageServer()
  const content = readFileSync(workspace.image)
  for (const name of ['base', 'spare']) server.files.set(`/${name}.qcow2`, {content: Buffer.concat([content, Buffer.from(name)])})
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  workspace[Symbol.dispose]()
})
beforeEach(async () => {
  for (const name of ['images', 'vms']) rmSync(join(workspace.stateDirectory, name), {recursive: true, force: true})
  for (const name of ['base', 'spare']) await runCommand('image', 'pull', `${server.origin}/${name}.qcow2`)
  await runCommand('create', '--name', 'web', '--image-url', `${server.origin}/base.qcow2`)
})

const names = async (): Promise<string[]> => (await runCommand('image', 'ls', '--json')).json.images.map(({name}: {name: string}) => name)

describe('image prune', () => {
  test('says what goes, removes it, and is done then', async () => {
    expect(await runCommand('image', 'prune', '--dry-run')).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(
        /^spare\.qcow2: would be removed, \d.* KB\n\d.* KB would be free; \d.* KB would stay in the cache\.\n$/,
      ) as unknown,
    })
    expect(await names()).toEqual(['base.qcow2', 'spare.qcow2'])
    const {json} = await runCommand('image', 'prune', '--json')
    expect(json).toMatchObject({dryRun: false, remove: [{kind: 'image', names: ['spare.qcow2']}]})
    expect(json.freedBytes).toBe(json.remove[0].freedBytes)
    expect(await names()).toEqual(['base.qcow2'])
    expect((await runCommand('image', 'prune')).stdout).toMatch(/^Nothing to remove; the images of the cache take \d.* KB\.\n$/)
  })

  test('leaves an image alone that is being pushed', async () => {
    const asked = Promise.withResolvers<void>()
    const registry = createServer(() => asked.resolve()).listen(0, '127.0.0.1')
    await once(registry, 'listening')
    const {port} = registry.address() as AddressInfo
    const pushing = spawnCommand(['image', 'push', 'spare.qcow2', `oci://127.0.0.1:${port}/team/spare:1`])
    await asked.promise
    expect((await runCommand('image', 'prune')).stdout).toMatch(/^Nothing to remove/)
    expect(await names()).toEqual(['base.qcow2', 'spare.qcow2'])
    registry.closeAllConnections()
    registry.close()
    await pushing
    await runCommand('image', 'prune')
    expect(await names()).toEqual(['base.qcow2'])
  })

  test('keeps to its flags, and says when a quota cannot be met', async () => {
    for (const flag of [
      ['--older-than', '1d'],
      ['--keep-builds', '1'],
      ['--max-size', '1G'],
    ])
      await runCommand('image', 'prune', ...flag)
    expect(await names()).toEqual(['base.qcow2', 'spare.qcow2'])
    const {stdout, stderr} = await runCommand('image', 'prune', '--max-size', '0')
    expect(stdout).toContain('spare.qcow2: removed')
    expect(stderr).toMatch(/^\d.* KB stay, which is more than 0 B: they are in use, or another flag keeps them\.\n$/)
  })

  test.each(['30', '3 days', 'soon'])('%s is no age', async (age) => {
    expect(await runCommand('image', 'prune', '--older-than', age)).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('is not an age') as unknown,
    })
  })

  test('asks on a terminal', async () => {
    const answer = (keys: string) =>
      runShell(`printf '${keys}' | script -qefc "$(declare -f vmctl); vmctl image prune" /dev/null`, {env: {SHELL: '/bin/bash'}})
    const no = await answer('n\\r')
    expect(no).toMatchObject({
      exitCode: 2,
      stdout: expect.stringMatching(/spare\.qcow2 +\d.* KB, last used less than a minute ago/) as unknown,
    })
    expect(await names()).toHaveLength(2)
    expect(await answer('y\\r')).toMatchObject({exitCode: 0, stdout: expect.stringContaining('spare.qcow2: removed') as unknown})
    expect(await names()).toEqual(['base.qcow2'])
  })
})

test('kill -9 at every act: no entry promises a disk that is gone, and one more run removes the rest', async () => {
  const acts = join(workspace.directory, 'acts')
  const run = (env: NodeJS.ProcessEnv) => spawnCommand(['image', 'prune', '--yes'], {env})
  expect((await run({VMCTL_ACTS: acts})).exitCode).toBe(0)
  const points = [...readFileSync(acts, 'utf8').matchAll(/^(\d+) before remove .*\/images\//gm)].map(([, number]) => number)
  expect(points).toHaveLength(2)
  for (const point of points) {
    await runCommand('image', 'pull', `${server.origin}/spare.qcow2`)
    expect((await run({VMCTL_KILL_AT: point})).exitCode).toBe(-1)
    const {images} = (await runCommand('image', 'ls', '--json')).json
    expect(images.every(({path}: {path: string}) => existsSync(path))).toBe(true)
    expect((await run({})).exitCode).toBe(0)
    expect(await names()).toEqual(['base.qcow2'])
  }
})

test('what the lock of a project holds stays, as long as a VM of it exists', async () => {
  const vm = (name: string, image: string): string => `vm "${name}" { image-url "${server.origin}/${image}.qcow2" insecure=#true; }\n`
  const file = workspace.write('VMFile.kdl', vm('one', 'base') + vm('two', 'spare'))
  expect(await runCommand('image', 'lock', '--file', file)).toMatchObject({exitCode: 0})
  expect(await runCommand('up', 'one', '--file', file)).toMatchObject({exitCode: 0})
  const lock = join(workspace.directory, 'VMFile.lock')
  expect((await runCommand('image', 'prune', '--json')).json.remove).toEqual([])
  expect((await runCommand('image', 'ls', '--usage', '--json')).json.images[1].uses).toMatchObject([{kind: 'lock', name: lock}])
  writeFileSync(lock, 'not a lock')
  expect((await runCommand('image', 'prune')).exitCode).not.toBe(0)
  expect(await names()).toHaveLength(2)
  rmSync(lock)
  expect((await runCommand('image', 'prune', '--json')).json.remove).toMatchObject([{names: ['spare.qcow2']}])
})

test('image ls --usage says who uses an image', async () => {
  const {stdout} = await runCommand('image', 'ls', '--usage')
  expect(stdout).toMatch(/^NAME +ON DISK +LAST USED +USED BY\nbase\.qcow2 +\d.* KB +less than a minute ago +web\nspare\.qcow2 .* ago +-\n$/)
  const {images} = (await runCommand('image', 'ls', '--usage', '--json')).json
  expect(images).toMatchObject([{uses: [{kind: 'vm', name: 'web'}]}, {uses: [], lastUsedAt: expect.any(String) as string}])
})

describe('disk-usage', () => {
  const vm = (name: string): string => join(workspace.stateDirectory, 'vms', 'web', name)

  test('adds up to what du says, holes and second names included', async () => {
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-o', 'preallocation=falloc', vm('overlay.qcow2'), '4M'])
    writeFileSync(vm('console.log'), '')
    truncateSync(vm('console.log'), 10 * 2 ** 20)
    linkSync(vm('overlay.qcow2'), vm('second.qcow2'))
    const {json} = await runCommand('disk-usage', '--json')
    expect(json.allocatedBytes).toBe(Number(execFileSync('du', ['-sB1', workspace.stateDirectory]).toString().split('\t')[0]))
    expect(json.items).toContainEqual({kind: 'logs', name: 'web', sizeBytes: 10 * 2 ** 20, allocatedBytes: 0})
    const [disks] = json.kinds.filter(({kind}: {kind: string}) => kind === 'disks')
    expect(disks.allocatedBytes).toBeGreaterThanOrEqual(4 * 2 ** 20)
    expect(disks.allocatedBytes).toBeLessThan(8 * 2 ** 20)
    expect(json.prunableBytes).toBe((await runCommand('image', 'prune', '--dry-run', '--json')).json.freedBytes)
  })

  test('does not count a file of the user that a VM shares, and says what a killed command has left', async () => {
    const own = workspace.write('own.iso', 'x'.repeat(2_000_000))
    mkdirSync(vm('shares/0'), {recursive: true})
    linkSync(own, vm('shares/0/own.iso'))
    const staged = join(workspace.stateDirectory, 'vms', '.new-db-0123456789ab')
    mkdirSync(staged)
    writeFileSync(join(staged, 'overlay.qcow2'), 'x'.repeat(50_000))
    const {items} = (await runCommand('disk-usage', '--json')).json
    expect(
      items.filter(({name, kind}: {name: string; kind: string}) => name === 'web' && kind === 'records')[0].allocatedBytes,
    ).toBeLessThan(2_000_000)
    expect(items).toContainEqual(expect.objectContaining({kind: 'leftovers', name: '.new-db-0123456789ab'}))
    expect(existsSync(own)).toBe(true)
  })

  test('in text: by kind, and by image and VM', async () => {
    const {stdout} = await runCommand('df')
    expect(stdout).toMatch(/^WHAT +COUNT +ON DISK +SIZE +PRUNABLE\nimages +2 .* KB\n(?:.*\n)*total +.*\n.*: .* free\n$/)
    expect((await runCommand('disk-usage', '--each')).stdout).toMatch(/^WHAT +NAME +ON DISK +SIZE\n(?:.*\n)*images +sha256-/)
  })
})
