import {execFileSync} from 'node:child_process'
import {randomBytes} from 'node:crypto'
import {readFileSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {afterAll, beforeAll, expect, test} from 'vitest'

import {digestOf, makeDirectory} from '../../test/support/images.ts'
import {type OciRegistry, startRegistry} from '../../test/support/oci-registry.ts'
import {describeUnless, missingProgram} from '../../test/support/programs.ts'
import {makeWorkspace, runCommand, spawnCommand, type Workspace} from '../../test/support/run-command.ts'

describeUnless(missingProgram('docker-registry'))('vmctl image push', () => {
  let workspace: Workspace
  let registry: OciRegistry
  let elsewhere: string
  beforeAll(async () => {
    workspace = makeWorkspace()
    elsewhere = makeDirectory()
    registry = await startRegistry(join(elsewhere, 'registry'))
  })
  afterAll(async () => {
    await registry[Symbol.asyncDispose]()
    rmSync(elsewhere, {recursive: true})
    workspace[Symbol.dispose]()
  })
  const target = (name: string): string => `oci://${registry.host}/${name}`

  test('a file; and a VM elsewhere is made from it, by a VMFile', async () => {
    const pushed = await runCommand('image', 'push', workspace.image, target('base:1'), '--json')
    const sha256 = digestOf(readFileSync(workspace.image))
    expect(pushed).toMatchObject({exitCode: 0, json: {image: target('base:1'), sha256, architectures: ['x86_64']}})
    const path = workspace.write('VMFile.kdl', `vm "web" { image-url "${target('base:1')}"; }\n`)
    const env = {VMCTL_STATE_DIR: join(elsewhere, 'state')}
    const up = await spawnCommand(['up', '--file', path], {env})
    expect(up.stderr).not.toContain('error')
    expect(up.exitCode).toBe(0)
    const {json} = await spawnCommand(['image', 'list', '--json'], {env})
    expect(json.images.map(({path: disk}: {path: string}) => digestOf(readFileSync(disk)))).toEqual([sha256])
  })

  test('an image of the cache, by its name, its address and its digest; what the registry has is told', async () => {
    const pulled = await runCommand('image', 'pull', target('base:1'), '--name', 'mine', '--json')
    for (const name of ['mine', target('base:1'), pulled.json.sha256.slice(0, 12)]) {
      const again = await runCommand('image', 'push', name, target('copy:1'))
      expect(again).toMatchObject({exitCode: 0, stdout: expect.stringMatching(/^Pushed: oci:\/\/.*\/copy@sha256:[0-9a-f]{64}\n$/)})
    }
    const last = await runCommand('image', 'push', 'mine', target('copy:1'))
    expect(last.stderr).toContain('copy:1: the registry has it already')
  })

  test.each([
    ['no registry as the target', ['mine', 'https://example.org/x'], 2, /pushed to a registry/],
    ['a digest as the target', ['mine', `oci://example.org/x@sha256:${'0'.repeat(64)}`], 2, /to a tag/],
    ['a name that nobody has', ['yours', 'oci://example.org/x:1'], 3, /no image "yours" in the cache/],
    ['a file that is not there', ['./no.qcow2', 'oci://example.org/x:1'], 3, /no image file/],
    ['a hostile target', ['mine', 'oci://example.org/../../x:1'], 2, /names no repository/],
  ])('%s', async (_, words, exitCode, message) => {
    expect(await runCommand('image', 'push', ...words)).toMatchObject({exitCode, stderr: expect.stringMatching(message)})
  })

  test('a password in an address is refused, and not repeated', async () => {
    for (const words of [['push', workspace.image], ['pull']]) {
      const refused = await runCommand('image', ...words, 'oci://anna:verysecret@example.org/x:1', '--json')
      expect(refused.exitCode).toBe(2)
      expect(refused.stdout + refused.stderr).not.toContain('verysecret')
    }
  })

  test('offline nothing is sent', async () => {
    const {exitCode, stderr} = await spawnCommand(['image', 'push', workspace.image, target('off:1')], {env: {VMCTL_OFFLINE: '1'}})
    expect([exitCode, stderr]).toEqual([4, expect.stringContaining('Nothing is sent offline')])
  })

  test('two at once: both bring it, and it is sent once', async () => {
    const disk = join(elsewhere, 'twice.raw')
    const noise = randomBytes(2 ** 20)
    noise.writeUInt16LE(0xaa55, 510)
    writeFileSync(disk, noise)
    const both = await Promise.all([1, 2].map(() => spawnCommand(['image', 'push', disk, target('twice:1'), '--json'])))
    expect(both.map(({exitCode}) => exitCode)).toEqual([0, 0])
    expect(both.filter(({json}) => json.sentBytes === 0)).toHaveLength(1)
  })

  test('a disk that rests on another one is refused', async () => {
    const overlay = join(workspace.directory, 'overlay.qcow2')
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', workspace.image, overlay])
    const refused = await runCommand('image', 'push', overlay, target('overlay:1'))
    expect(refused).toMatchObject({exitCode: 4, stderr: expect.stringContaining('backing file')})
  })

  test.each(['SIGINT', 'SIGKILL'] as const)('%s in the middle: nothing is under the tag, and the next one brings it', async (signal) => {
    const disk = join(elsewhere, `${signal}.raw`)
    const noise = randomBytes(80 * 2 ** 20)
    noise.writeUInt16LE(0xaa55, 510)
    writeFileSync(disk, noise)
    const words = ['image', 'push', disk, target(`${signal.toLowerCase()}:1`)]
    let isSent = false
    const cut = await spawnCommand(words, {
      onOutput: ({stderr}, kill) => {
        if (isSent || !/pushing .*: \d+ %/.test(stderr)) return
        isSent = true
        kill(signal)
      },
    })
    expect(cut.exitCode).toBe(signal === 'SIGINT' ? 130 : -1)
    expect((await runCommand('image', 'pull', words[3] ?? '')).exitCode).toBe(3)
    const pushed = await runCommand(...words, '--json')
    expect(pushed).toMatchObject({exitCode: 0, json: {sizeBytes: expect.any(Number)}})
    const pulled = await runCommand('image', 'pull', words[3] ?? '', '--json')
    expect(digestOf(readFileSync(pulled.json.path))).toBe(pushed.json.sha256)
  })
})
