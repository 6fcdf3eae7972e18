import {dirname} from 'node:path'

import {expect, test} from 'vitest'

import {vmFiles} from './layout.ts'

test('every file has its own name in the directory of the VM, and the names of the book', () => {
  const files = vmFiles('/state/vms/web')
  const paths = Object.values(files)
  expect(new Set(paths).size).toBe(paths.length)
  expect(new Set(paths.map((path) => dirname(path)))).toEqual(new Set(['/state/vms/web']))
  expect(files).toMatchObject({
    consoleLog: '/state/vms/web/console.log',
    provisionLog: '/state/vms/web/provision.log',
    privateKey: '/state/vms/web/id_ed25519_generated',
    publicKey: '/state/vms/web/id_ed25519_generated.pub',
  })
})
