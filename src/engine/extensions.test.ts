import {expect, test} from 'vitest'

import {noopHypervisor} from '../hypervisor/noop/index.ts'
import {createHttpSource} from '../image/http.ts'
import {fileProvisioner} from '../provision/steps/file.ts'
import {shellProvisioner} from '../provision/steps/shell.ts'
import {registerExtensions} from './extensions.ts'

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

test.each([
  ['hypervisor "noop"', {hypervisors: [noopHypervisor()]}],
  ['provisioner "shell"', {provisioners: [shellProvisioner]}],
  ['image source "http', {imageSources: [createHttpSource()]}],
])('two parts of one name are an error: %s', (name, extension) => {
  expect(() => registerExtensions([extension, extension])).toThrow(`Two parts register the ${name}`)
})
