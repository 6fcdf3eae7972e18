import {writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {beforeEach, expect} from 'vitest'

import {temporaryDirectory} from '../../../test/support/builders.ts'
import {missingProgram, testUnless} from '../../../test/support/programs.ts'
import {importVms} from './import.ts'

const signal = new AbortController().signal
const lacking = missingProgram('virsh')

let directory: string
beforeEach(() => {
  directory = temporaryDirectory()
})

testUnless(lacking)('domains of libvirt, by name and all of them', async () => {
  const connect = 'test:///default'
  const named = await importVms({sources: ['test'], connect, signal}, directory)
  expect(named.text).toBe(`// From the libvirt domain test, by vmctl import.
vm "test" {
    // It is never written to: what the VM writes goes to an overlay.
    image "/guest/diskimage1"
    vcpus 2
    memory "8192MiB"
    network "user"
}
`)
  expect(named.isValid).toBe(true)
  expect(named.problems).toMatchObject([{severity: 'warning', message: 'image file not found: "/guest/diskimage1"'}])
  expect(named.warnings).toContain('test: the architecture i686 cannot be carried over: vmctl runs x86_64')
  expect((await importVms({sources: [], all: true, connect, signal}, directory)).text).toBe(named.text)
})

testUnless(lacking)('a domain that is not there is left out, and nothing at all is a failure', async () => {
  const connect = 'test:///default'
  const some = await importVms({sources: ['test', '--ghost'], connect, signal}, directory)
  expect(some.warnings.at(-1)).toMatch(/^the libvirt domain --ghost is left out: .*failed to get domain/s)
  const none = importVms({sources: ['ghost'], connect, signal}, directory)
  await expect(none).rejects.toMatchObject({code: 'vmctl::import::failed'})
  const nowhere = importVms({sources: [], all: true, connect: 'nonsense://', signal}, directory)
  await expect(nowhere).rejects.toMatchObject({code: 'vmctl::import::failed'})
})

testUnless(undefined)('files beside each other, of which one cannot be read', async () => {
  writeFileSync(join(directory, 'a.xml'), '<domain><name>a</name></domain>')
  writeFileSync(join(directory, 'b.yaml'), 'vms: {b: {image: b.qcow2, cpu: 1, memory: 512}}')
  const {text, warnings} = await importVms({sources: ['a.xml', 'b.yaml'], signal}, directory)
  expect(warnings).toEqual(['a.xml is left out: a has no disk in a file, which a VM could start from'])
  expect(text).toContain('vm "b" {')
  await expect(importVms({sources: [], signal}, directory)).rejects.toMatchObject({code: 'vmctl::usage::invalid'})
  await expect(importVms({sources: ['missing.yaml'], signal}, directory)).rejects.toMatchObject({code: 'vmctl::io'})
})
