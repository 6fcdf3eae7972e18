import {expect, test} from 'vitest'

import {noopHypervisor} from '../hypervisor/noop/index.ts'
import {createHttpSource} from '../image/http.ts'
import {builtInCatalogue} from '../model/catalogue-entries.ts'
import type {Publisher} from '../model/catalogue.ts'
import {fileProvisioner} from '../provision/steps/file.ts'
import {shellProvisioner} from '../provision/steps/shell.ts'
import {registerExtensions} from './extensions.ts'
import type {Failure} from '../model/failures.ts'

test('parts of several extensions are found by name', () => {
  const registry = registerExtensions([
    {hypervisors: [noopHypervisor()]},
    {provisioners: [shellProvisioner, fileProvisioner]},
    {imageSources: [createHttpSource()]},
    {},
  ])
  expect([...registry.hypervisors.keys()]).toEqual(['noop'])
  expect([...registry.provisioners.keys()]).toEqual(['shell', 'file'])
  expect(registry.imageSources).toHaveLength(1)
})

test('publishers of images are found in the order of the extensions', () => {
  const acme = {...builtInCatalogue[0], name: 'acme'} as Publisher
  expect(registerExtensions([{publishers: [acme]}, {}]).publishers).toEqual([acme])
  expect(() => registerExtensions([{publishers: [acme]}, {publishers: [acme]}])).toThrow('Two parts register the publisher "acme".')
})

const full: Failure = {code: 'my-plugin::disk::full', exit: 4, help: 'Make room.'}

test.each([
  ['of vmctl', {code: 'vmctl::disk::full'}, 'vmctl:: is for the failures of vmctl itself'],
  ['of vmctl that there is', {code: 'vmctl::vm::locked'}, 'vmctl:: is for the failures of vmctl itself'],
  ['of two words', {code: 'my-plugin::full'}, 'a code is three words'],
  ['in capitals', {code: 'my-plugin::Disk::full'}, 'a code is three words'],
  ['that is no text', {code: 7}, 'a code is three words'],
  ['of success', {exit: 0}, 'its exit status is 0, but 2 to 7 can be had'],
  ['of a status that means nothing', {exit: 9}, 'its exit status is 9, but 2 to 7 can be had'],
  ['of no status', {exit: undefined}, 'its exit status is undefined, but 2 to 7 can be had'],
  ['without advice', {help: ''}, 'it has no advice'],
])('a failure %s is refused', (_what, change, why) => {
  const failure = {...full, ...change} as Failure
  expect(() => registerExtensions([{failures: [full]}, {failures: [failure]}])).toThrow(why)
})

test.each([
  ['hypervisor "noop"', {hypervisors: [noopHypervisor()]}],
  ['provisioner "shell"', {provisioners: [shellProvisioner]}],
  ['image source "http', {imageSources: [createHttpSource()]}],
  ['failure "my-plugin::disk::full"', {failures: [full]}],
])('two parts of one name are an error: %s', (name, extension) => {
  expect(() => registerExtensions([extension, extension])).toThrow(`Two parts register the ${name}`)
})
