import {chmodSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {expect, test} from 'vitest'

import {makeScratch} from '../../../test/support/images.ts'
import {makeSpec} from '../../../test/support/builders.ts'
import {cpuFlags} from '../../host/cpu.ts'
import {emulatesV3, lackingForV3, requireCpuLevel} from './cpu-level.ts'

const haswell = 'fpu sse4_2 avx avx2 bmi1 bmi2 f16c fma abm movbe xsave'

test('what a processor lacks is found in the words of Linux', async () => {
  using scratch = makeScratch()
  const path = join(scratch.path, 'cpuinfo')
  writeFileSync(path, `processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: ${haswell}\nvmx flags\t: vnmi\n\nprocessor\t: 1\n`)
  expect(lackingForV3((await cpuFlags(path)) ?? new Set())).toEqual([])
  writeFileSync(path, `flags\t\t: ${haswell.replace(' avx2', '').replace(' abm', '')}\n`)
  expect(lackingForV3((await cpuFlags(path)) ?? new Set())).toEqual(['avx2', 'abm'])
  expect(await cpuFlags(join(scratch.path, 'none'))).toBeUndefined()
})

test.each([
  ['QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)', true],
  ['QEMU emulator version 10.0.2', true],
  ['QEMU emulator version 7.1.0', false],
  ['QEMU emulator version 6.2.0 (Debian 1:6.2+dfsg-2ubuntu6)', false],
])('%s emulates the level: %s', (version, expected) => {
  expect(emulatesV3(version)).toBe(expected)
})

test('an image is refused where the processor of its guests would lack what it needs, unless the user has chosen that', async () => {
  using scratch = makeScratch()
  const binary = join(scratch.path, 'qemu')
  const image = {kind: 'name', source: 'rocky:10', cpuLevel: 'x86-64-v3'} as const
  const says = (version: string): void => {
    writeFileSync(binary, `#!/bin/sh\necho 'QEMU emulator version ${version}'\n`)
    chmodSync(binary, 0o755)
  }
  says('6.2.0')
  const old = {binary, accelerator: 'tcg'}
  await expect(requireCpuLevel(makeSpec({image}), old)).rejects.toMatchObject({
    code: 'vmctl::image::refused',
    message: 'The image rocky:10 needs a processor of the level x86-64-v3: QEMU emulator version 6.2.0 emulates none, which is new in 7.2.',
  })
  await requireCpuLevel(makeSpec({image, qemu: {cpu: 'Haswell'}}), old)
  await requireCpuLevel(makeSpec({image: {...image, cpuLevel: undefined} as never}), old)
  says('7.2.0')
  await requireCpuLevel(makeSpec({image}), old)
})
