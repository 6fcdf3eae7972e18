import {execFileSync} from 'node:child_process'
import {chmodSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync} from 'node:fs'
import {join, resolve} from 'node:path'

import {expect, test} from 'vitest'

import {temporaryDirectory} from '../../../test/support/builders.ts'
import {missingProgram, testUnless} from '../../../test/support/programs.ts'
import {chooseAccelerator, describeVerdict, judgeAccelerator, overrule} from './accelerator.ts'
import {probeCode, runProbe} from './probe.ts'

/** What the probe guest prints when it has done all its work. */
const wholeWork = `B${'.'.repeat(16)}`
const right = `printf ${wholeWork}; exit 99`

/** A program in QEMU's place that ends as told under an accelerator, does its work under TCG, and counts its runs. */
const fakeQemu = (body: string, underTcg = right): {binary: string; directory: string; runs(accelerator?: string): number} => {
  const directory = temporaryDirectory()
  const binary = join(directory, 'qemu')
  writeFileSync(
    binary,
    `#!/bin/sh\ncase "$*" in *"-accel tcg"*) echo tcg >>${directory}/runs\n${underTcg} ;; esac\necho other >>${directory}/runs\n${body}\n`,
  )
  chmodSync(binary, 0o755)
  writeFileSync(join(directory, 'runs'), '')
  return {
    binary,
    directory,
    runs: (accelerator = 'other') =>
      readFileSync(join(directory, 'runs'), 'utf8')
        .split('\n')
        .filter((line) => line === accelerator).length,
  }
}

const patient = {cpuSeconds: 10, idleMs: 10_000}

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
  'TCG of the real QEMU does all the work of the probe; an accelerator that does not exist says why',
  async () => {
    const directory = temporaryDirectory()
    const heat = await runProbe('qemu-system-x86_64', 'tcg', {directory, limits: patient})
    expect(heat).toEqual({
      outcome: 'right',
      firmwareMs: expect.any(Number),
      roundMs: expect.any(Number),
      totalMs: expect.any(Number),
    })
    expect(await runProbe('qemu-system-x86_64', 'xen', {directory, limits: patient})).toMatchObject({
      outcome: 'wrong',
      reason: expect.stringMatching(/xen|accel/i),
    })
    expect(readdirSync(directory)).toEqual([])
  },
)

test('only all of the work and the one exit status of the probe are right', async () => {
  for (const code of [0, 1, 3, 0x31]) {
    const {binary, directory} = fakeQemu(`printf ${wholeWork}; echo "qemu: problem ${code}" >&2; exit ${code}`)
    expect(await runProbe(binary, 'kvm', {directory, limits: patient})).toMatchObject({outcome: 'wrong', reason: `qemu: problem ${code}`})
  }
  const outcomeOf = async (body: string, limits = patient) => {
    const {binary, directory} = fakeQemu(body)
    return runProbe(binary, 'kvm', {directory, limits})
  }
  expect(await outcomeOf(right)).toMatchObject({outcome: 'right', roundMs: expect.any(Number)})
  expect(await outcomeOf('printf B...; exit 99')).toMatchObject({outcome: 'wrong', reason: 'QEMU ended with 99'})
  expect(await outcomeOf(`printf ${wholeWork}; exit 101`)).toMatchObject({outcome: 'wrong', reason: 'the guest got a wrong result'})
  expect(await outcomeOf('kill -SEGV $$')).toMatchObject({outcome: 'wrong', reason: 'QEMU ended with SIGSEGV'})
  expect(await outcomeOf('kill -ABRT $$')).toMatchObject({outcome: 'wrong', reason: 'QEMU ended with SIGABRT'})
  expect(await outcomeOf('exec sleep 60', {cpuSeconds: 1, idleMs: 200})).toMatchObject({
    outcome: 'wrong',
    reason: 'the guest hung: no result and an idle QEMU after 200 ms',
  })
  expect(await outcomeOf('printf B; while :; do :; done', {cpuSeconds: 1, idleMs: 10_000})).toMatchObject({outcome: 'slow'})
})

test('the faster one is used: a slow accelerator is passed over with a number, and used when somebody insists', async () => {
  const slow = fakeQemu(`printf B; sleep 0.3; printf ${'.'.repeat(16)}; exit 99`)
  const options = {stateDirectory: slow.directory}
  const verdict = await judgeAccelerator(slow.binary, 'hvf', options)
  expect(verdict).toEqual({works: true, slowness: expect.any(Number)})
  expect(verdict.slowness).toBeGreaterThan(1)
  expect(await chooseAccelerator(slow.binary, ['hvf', 'tcg'], options)).toEqual({
    accelerator: 'tcg',
    notice: expect.stringMatching(
      /^No hardware acceleration: HVF works here, but is [\d.]+ times slower than TCG\. The guest runs under TCG/,
    ),
  })
  expect(await chooseAccelerator(slow.binary, ['hvf'], options)).toEqual({
    accelerator: 'hvf',
    notice: expect.stringMatching(/times slower than TCG\. It is used because it was asked for\.$/),
  })
  expect([slow.runs(), slow.runs('tcg')]).toEqual([1, 1])
  const fast = fakeQemu(right, `printf B; sleep 0.3; printf ${'.'.repeat(16)}; exit 99`)
  expect(await chooseAccelerator(fast.binary, ['hvf', 'tcg'], {stateDirectory: fast.directory})).toEqual({accelerator: 'hvf'})
})

test('one that crawls is cut off as soon as it has lost, wherever it was', async () => {
  for (const signs of ['', 'B', 'B..']) {
    const {binary, directory} = fakeQemu(`printf '${signs}'; while :; do :; done`)
    const verdict = await judgeAccelerator(binary, 'hvf', {stateDirectory: directory})
    expect(verdict).toMatchObject({works: true, cutOff: true})
    expect(await describeVerdict('hvf', verdict)).toMatch(/^HVF works here, but is more than [\d.]+ times slower than TCG$/)
    expect(await chooseAccelerator(binary, ['hvf', 'tcg'], {stateDirectory: directory})).toMatchObject({accelerator: 'tcg'})
  }
})

test('without a TCG to compare with, what works is used', async () => {
  const {binary, directory} = fakeQemu(right, 'echo "no tcg in this build" >&2; exit 1')
  expect(await judgeAccelerator(binary, 'hvf', {stateDirectory: directory})).toEqual({works: true})
  expect(await judgeAccelerator(binary, 'tcg', {stateDirectory: directory, fresh: true})).toEqual({
    works: false,
    reason: 'no tcg in this build',
  })
})

test('a verdict that a guest has disproved is corrected', async () => {
  const {binary, directory} = fakeQemu(right)
  const options = {stateDirectory: directory}
  expect(await chooseAccelerator(binary, ['hvf', 'tcg'], options)).toMatchObject({accelerator: 'hvf'})
  await overrule(binary, 'hvf', {...options, reason: 'a guest did not begin to boot'})
  expect(await chooseAccelerator(binary, ['hvf', 'tcg'], options)).toEqual({
    accelerator: 'tcg',
    notice: expect.stringContaining('HVF does not work here (a guest did not begin to boot)'),
  })
})

test('a probe that is left alone ends by itself, and what it leaves is removed by the next', async () => {
  const {binary, directory} = fakeQemu('echo "seconds of CPU: $(ulimit -t)" >&2; exit 1', 'exit 1')
  mkdirSync(join(directory, '.probe-killed'))
  writeFileSync(join(directory, '.accelerators.json.1.0123456789ab.tmp'), '')
  expect(await judgeAccelerator(binary, 'hvf', {stateDirectory: directory})).toEqual({works: false, reason: 'seconds of CPU: 10'})
  expect(readdirSync(directory).toSorted()).toEqual(['accelerators.json', 'locks', 'qemu', 'runs'])
})

test('commands that want the same verdict at once make one probe', async () => {
  const {binary, directory, runs} = fakeQemu(`sleep 0.05; ${right}`)
  await Promise.all(Array.from({length: 5}, () => judgeAccelerator(binary, 'hvf', {stateDirectory: directory})))
  expect(runs()).toBe(1)
})

test('a program that is not there is told as such, an abort is thrown', async () => {
  const directory = temporaryDirectory()
  await expect(runProbe('no-such-qemu', 'tcg', {directory, limits: patient})).rejects.toMatchObject({code: 'vmctl::qemu::not_installed'})
  await expect(judgeAccelerator('no-such-qemu', 'tcg', {stateDirectory: directory})).rejects.toMatchObject({
    code: 'vmctl::qemu::not_installed',
  })
  const {binary} = fakeQemu(right)
  await expect(runProbe(binary, 'tcg', {directory, limits: patient, signal: AbortSignal.abort(new Error('enough'))})).rejects.toThrow(
    'enough',
  )
})

test('a verdict is kept until QEMU changes; a damaged cache is no verdict', async () => {
  const {binary, directory, runs} = fakeQemu(right)
  const options = {stateDirectory: directory}
  expect(await judgeAccelerator(binary, 'hvf', options)).toMatchObject({works: true})
  expect(await judgeAccelerator(binary, 'hvf', options)).toMatchObject({works: true})
  expect(runs()).toBe(1)
  await judgeAccelerator(binary, 'hvf', {...options, fresh: true})
  expect(runs()).toBe(2)
  utimesSync(binary, 1, 1)
  await judgeAccelerator(binary, 'hvf', options)
  expect(runs()).toBe(3)
  for (const damage of ['', 'null', '{"', '[]']) {
    writeFileSync(join(directory, 'accelerators.json'), damage)
    expect(await judgeAccelerator(binary, 'hvf', options)).toMatchObject({works: true})
  }
  expect(runs()).toBe(7)
})

test('TCG is believed without a run, unless somebody asks', async () => {
  const {binary, directory, runs} = fakeQemu(right)
  expect(await judgeAccelerator(binary, 'tcg', {stateDirectory: directory})).toMatchObject({works: true})
  expect([runs(), runs('tcg')]).toEqual([0, 0])
})

test('the first one that works is chosen, and a passed-over one is explained', async () => {
  const {binary, directory} = fakeQemu(`case "$*" in *"-accel hvf"*) echo "no hvf" >&2; exit 1 ;; *) ${right} ;; esac`)
  const options = {stateDirectory: directory}
  expect(await chooseAccelerator(binary, ['nvmm', 'tcg'], options)).toEqual({accelerator: 'nvmm'})
  expect(await chooseAccelerator(binary, ['hvf', 'tcg'], options)).toEqual({
    accelerator: 'tcg',
    notice: 'No hardware acceleration: HVF does not work here (no hvf). The guest runs under TCG, which emulates its processor.',
  })
  expect(await chooseAccelerator(binary, ['tcg'], options)).toEqual({accelerator: 'tcg'})
  await expect(chooseAccelerator(binary, ['hvf'], options)).rejects.toMatchObject({
    code: 'vmctl::qemu::accelerator_unavailable',
    message: expect.stringContaining('HVF does not work here (no hvf)'),
  })
})
