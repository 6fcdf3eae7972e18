import {execFileSync} from 'node:child_process'
import {chmodSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync} from 'node:fs'
import {join, resolve} from 'node:path'

import {expect, test} from 'vitest'

import {temporaryDirectory} from '../../../test/support/builders.ts'
import {missingProgram, testUnless} from '../../../test/support/programs.ts'
import {chooseAccelerator, judgeAccelerator, probeAccelerator, probeCode} from './accelerator.ts'

/** A program in QEMU's place that ends as told, and counts its runs. */
const fakeQemu = (body: string): {binary: string; directory: string; runs(): number} => {
  const directory = temporaryDirectory()
  const binary = join(directory, 'qemu')
  writeFileSync(binary, `#!/bin/sh\necho run >>${directory}/runs\n${body}\n`)
  chmodSync(binary, 0o755)
  writeFileSync(join(directory, 'runs'), '')
  return {binary, directory, runs: () => readFileSync(join(directory, 'runs'), 'utf8').length / 4}
}

testUnless(missingProgram('as') ?? missingProgram('ld') ?? missingProgram('objcopy'))('the probe is what its source says', () => {
  const directory = temporaryDirectory()
  const source = resolve(import.meta.dirname, '../../../fixtures/accelerator-probe.S')
  const [object, linked, binary] = ['o', 'elf', 'bin'].map((end) => join(directory, `probe.${end}`)) as [string, string, string]
  execFileSync('as', ['--64', '-o', object, source])
  execFileSync('ld', ['-m', 'elf_x86_64', '-Ttext=0x7c00', '-o', linked, object])
  execFileSync('objcopy', ['-O', 'binary', '-j', '.text', linked, binary])
  const sector = Buffer.alloc(512)
  Buffer.from(probeCode, 'hex').copy(sector)
  sector.writeUInt16LE(0xaa55, 510)
  expect(readFileSync(binary).toString('hex')).toBe(sector.toString('hex'))
})

testUnless(missingProgram('qemu-system-x86_64'))(
  'TCG of the real QEMU passes the probe; an accelerator that does not exist says why',
  async () => {
    const directory = temporaryDirectory()
    expect(await probeAccelerator('qemu-system-x86_64', 'tcg', {directory, timeoutMs: 30_000})).toEqual({works: true})
    const verdict = await probeAccelerator('qemu-system-x86_64', 'xen', {directory, timeoutMs: 30_000})
    expect(verdict).toEqual({works: false, reason: expect.stringMatching(/xen|accel/i)})
    expect(readdirSync(directory)).toEqual([])
  },
)

test('only the one exit status of the probe is success', async () => {
  for (const code of [0, 1, 3, 0x31]) {
    const {binary, directory} = fakeQemu(`echo "qemu: problem ${code}" >&2; exit ${code}`)
    expect(await probeAccelerator(binary, 'kvm', {directory})).toEqual({works: false, reason: `qemu: problem ${code}`})
  }
  const {binary, directory} = fakeQemu('exit 99')
  expect(await probeAccelerator(binary, 'kvm', {directory})).toEqual({works: true})
  const silent = fakeQemu('kill -SEGV $$')
  expect(await probeAccelerator(silent.binary, 'kvm', {directory})).toEqual({works: false, reason: 'QEMU ended with SIGSEGV'})
  const hanging = fakeQemu('exec sleep 60')
  expect(await probeAccelerator(hanging.binary, 'kvm', {directory, timeoutMs: 50})).toMatchObject({
    works: false,
    reason: expect.stringContaining('did not finish within 50 ms'),
  })
})

test('a probe that is left alone ends by itself, and what it leaves is removed by the next', async () => {
  const {binary, directory} = fakeQemu('echo "seconds of CPU: $(ulimit -t)" >&2; exit 1')
  mkdirSync(join(directory, '.probe-killed'))
  writeFileSync(join(directory, '.accelerators.json.1.0123456789ab.tmp'), '')
  expect(await judgeAccelerator(binary, 'hvf', {stateDirectory: directory})).toEqual({works: false, reason: 'seconds of CPU: 10'})
  expect(readdirSync(directory).toSorted()).toEqual(['accelerators.json', 'locks', 'qemu', 'runs'])
})

test('commands that want the same verdict at once make one probe', async () => {
  const {binary, directory, runs} = fakeQemu('sleep 0.05; exit 99')
  await Promise.all(Array.from({length: 5}, () => judgeAccelerator(binary, 'hvf', {stateDirectory: directory})))
  expect(runs()).toBe(1)
})

test('a program that is not there is told as such, an abort is thrown', async () => {
  const directory = temporaryDirectory()
  await expect(probeAccelerator('no-such-qemu', 'tcg', {directory})).rejects.toMatchObject({code: 'vmctl::qemu::not_installed'})
  await expect(judgeAccelerator('no-such-qemu', 'tcg', {stateDirectory: directory})).rejects.toMatchObject({
    code: 'vmctl::qemu::not_installed',
  })
  const {binary} = fakeQemu('exit 99')
  await expect(probeAccelerator(binary, 'tcg', {directory, signal: AbortSignal.abort(new Error('enough'))})).rejects.toThrow('enough')
})

test('a verdict is kept until QEMU changes; a damaged cache is no verdict', async () => {
  const {binary, directory, runs} = fakeQemu('exit 99')
  const options = {stateDirectory: directory}
  expect(await judgeAccelerator(binary, 'hvf', options)).toEqual({works: true})
  expect(await judgeAccelerator(binary, 'hvf', options)).toEqual({works: true})
  expect(runs()).toBe(1)
  await judgeAccelerator(binary, 'hvf', {...options, fresh: true})
  expect(runs()).toBe(2)
  utimesSync(binary, 1, 1)
  await judgeAccelerator(binary, 'hvf', options)
  expect(runs()).toBe(3)
  for (const damage of ['', 'null', '{"', '[]']) {
    writeFileSync(join(directory, 'accelerators.json'), damage)
    expect(await judgeAccelerator(binary, 'hvf', options)).toEqual({works: true})
  }
  expect(runs()).toBe(7)
})

test('TCG is believed without a run, unless somebody asks', async () => {
  const {binary, directory, runs} = fakeQemu('exit 99')
  expect(await judgeAccelerator(binary, 'tcg', {stateDirectory: directory})).toEqual({works: true})
  expect(runs()).toBe(0)
})

test('the first one that works is chosen, and a passed-over one is explained', async () => {
  const {binary, directory} = fakeQemu('case "$*" in *"-accel hvf"*) echo "no hvf" >&2; exit 1 ;; *) exit 99 ;; esac')
  const options = {stateDirectory: directory}
  expect(await chooseAccelerator(binary, ['nvmm', 'tcg'], options)).toEqual({accelerator: 'nvmm'})
  expect(await chooseAccelerator(binary, ['hvf', 'tcg'], options)).toEqual({
    accelerator: 'tcg',
    notice: 'No hardware acceleration: hvf does not work here (no hvf). The guest runs under TCG, which is many times slower.',
  })
  expect(await chooseAccelerator(binary, ['tcg'], options)).toEqual({accelerator: 'tcg'})
  await expect(chooseAccelerator(binary, ['hvf'], options)).rejects.toMatchObject({
    code: 'vmctl::qemu::accelerator_unavailable',
    message: expect.stringContaining('hvf does not work here (no hvf)'),
  })
})
