import {strict as assert} from 'node:assert'

import {distributionFamily} from '../../../src/host/packages.ts'
import {pureTrial, type Target} from '../target.ts'

export const osRelease: Target = {
  about: 'os-release, for the advice on what to install',
  dictionary: [
    'ID=',
    'ID_LIKE=',
    '"debian"',
    "'rhel fedora'",
    '\n',
    'constructor',
    'toString',
    '__proto__',
    'hasOwnProperty',
    'suse',
    'arch',
    'alpine',
    '"',
  ],
  open: () =>
    pureTrial((input) => {
      const family = distributionFamily(input.toString())
      assert.ok(family === undefined || /^[a-z]+$/.test(family), `${family} is no family`)
    }),
}
