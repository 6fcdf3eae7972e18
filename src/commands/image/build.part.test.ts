import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync} from 'node:fs'
import {createServer, type Server} from 'node:net'
import type {AddressInfo} from 'node:net'
import {join} from 'node:path'

import {expect, test, vi} from 'vitest'

import {temporaryDirectory} from '../../../test/support/builders.ts'
import {missingProgram, testUnless} from '../../../test/support/programs.ts'
import {runCommand, spawnCommand, vmctlWords} from '../../../test/support/run-command.ts'
import {argumentsOf, processes} from '../../../test/support/vm-processes.ts'

const missing = ['mmdebstrap', 'mformat', 'sfdisk', ...(process.getuid?.() === 0 ? [] : ['newuidmap'])]
  .map((name) => missingProgram(name))
  .find((reason) => reason !== undefined)

const openPlace = () => {
  const directory = temporaryDirectory()
  const [stateDirectory, project] = [join(directory, "it's state"), join(directory, 'project')]
  for (const path of [stateDirectory, project]) mkdirSync(path, {mode: 0o700})
  const options = {cwd: project, env: {VMCTL_STATE_DIR: stateDirectory}}
  const builds = join(stateDirectory, 'builds')
  return {
    project,
    options,
    builds,
    build: (...words: readonly string[]) => spawnCommand(['image', 'build', ...words], options),
    /** What runs for the build, by the paths on its command lines. */
    running: () => processes().filter((pid) => argumentsOf(pid).some((word) => word.startsWith(builds))),
  }
}

/** A mirror that takes connections and says nothing. */
const silentMirror = async (): Promise<{readonly server: Server; readonly url: string; readonly asked: Promise<unknown>}> => {
  const server = createServer()
  const asked = once(server, 'connection')
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/debian`, asked}
}

test('what cannot be built is refused before anything is done', async () => {
  const {project, builds, options} = openPlace()
  vi.stubEnv('VMCTL_STATE_DIR', options.env.VMCTL_STATE_DIR)
  const output = join(project, 'own.qcow2')
  const build = (...words: readonly string[]) => runCommand('image', 'build', ...words, '--output', output)
  const foreign = await build('ubuntu:24.04')
  expect(foreign.exitCode).toBe(2)
  expect(foreign.stderr).toContain('vmctl::image::not_buildable')
  expect(foreign.stderr).toContain('debian:13, debian:12, debian:11')
  for (const words of [
    ['--package', '--setup-hook=touch x'],
    ['--package', 'a b'],
    ['--mirror', 'http://mirror/debian x\ndeb http://other y'],
    ['--mirror', 'file:///etc'],
  ]) {
    const refused = await build('debian:12', ...words)
    expect(refused.exitCode).toBe(2)
    expect(refused.stderr).toContain('vmctl::usage::invalid')
  }
  expect((await build('debian:12', '--size', '100M')).stderr).toContain('vmctl::image::disk_too_small')
  writeFileSync(output, 'mine')
  expect((await build('debian:12')).stderr).toContain('vmctl::image::exists')
  expect(readFileSync(output, 'utf8')).toBe('mine')
  expect(existsSync(builds)).toBe(false)
})

test('programs that are missing are told all at once', async () => {
  const {options, builds} = openPlace()
  const {exitCode, stderr} = await spawnCommand(['image', 'build', 'debian:12'], {...options, env: {...options.env, PATH: '/nowhere'}})
  expect(exitCode).toBe(4)
  expect(stderr).toMatch(/mmdebstrap.*mformat.*qemu-img/)
  expect(stderr).toMatch(/mmdebstrap.* mtools.* qemu-utils/)
  expect(existsSync(builds)).toBe(false)
})

testUnless(missing)('without a network the mirror is named, the log stays, and nothing else does', async () => {
  const {build, builds, project} = openPlace()
  const nowhere = ['--mirror', 'http://127.0.0.1:1/debian', '--security-mirror', 'http://127.0.0.1:1/security']
  const {exitCode, stderr, stdout} = await build('debian:12', ...nowhere)
  expect({exitCode, stdout}).toEqual({exitCode: 4, stdout: ''})
  expect(stderr).toContain('debian:12: downloading the base system')
  expect(stderr).toContain('vmctl::image::download_failed')
  expect(stderr).toMatch(/Could not connect to 127\.0\.0\.1:1/)
  expect(readdirSync(builds)).toEqual(['1.log'])
  expect(stderr).toContain(join(builds, '1.log'))
  expect(readdirSync(project)).toEqual([])
})

testUnless(missing)('Ctrl+C ends everything that the build has started, and removes what it has made', async () => {
  const {options, builds, running} = openPlace()
  const {server, url, asked} = await silentMirror()
  const child = spawn(process.execPath, [...vmctlWords, 'image', 'build', 'debian:12', '--mirror', url], {
    cwd: options.cwd,
    env: {...process.env, ...options.env},
    stdio: 'ignore',
  })
  await asked
  expect(running()).not.toEqual([])
  expect(existsSync(join(builds, '1/root'))).toBe(true)
  child.kill('SIGINT')
  expect(await once(child, 'close')).toEqual([130, null])
  expect(readdirSync(builds)).toEqual([])
  await vi.waitFor(() => expect(running()).toEqual([]), {timeout: 10_000})
  server.close()
})

testUnless(missing)('kill -9 leaves no process, and the next build removes the rest; two at once have a place each', async () => {
  const {options, build, builds, running} = openPlace()
  const {server, url, asked} = await silentMirror()
  const words = [...vmctlWords, 'image', 'build', 'debian:12', '--mirror', url]
  const child = spawn(process.execPath, words, {cwd: options.cwd, env: {...process.env, ...options.env}, stdio: 'ignore'})
  await asked
  const nowhere = ['--mirror', 'http://127.0.0.1:1/debian', '--security-mirror', 'http://127.0.0.1:1/security', '--output', 'other.qcow2']
  expect((await build('debian:12', ...nowhere)).stderr).toContain(join(builds, '2.log'))
  expect(readdirSync(builds).toSorted()).toEqual(['1', '1.log', '2.log'])
  child.kill('SIGKILL')
  await once(child, 'close')
  await vi.waitFor(() => expect(running()).toEqual([]), {timeout: 10_000})
  expect(existsSync(join(builds, '1/root'))).toBe(true)
  expect((await build('debian:12', ...nowhere)).stderr).toContain(join(builds, '1.log'))
  expect(readdirSync(builds).toSorted()).toEqual(['1.log', '2.log'])
  server.close()
})
