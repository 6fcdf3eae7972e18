import {strict as assert} from 'node:assert'

import {parseBootId, parseProbe} from '../../../src/guest/ready/cloud-init-result.ts'
import {pureTrial, type Target} from '../target.ts'

export const cloudInit: Target = {
  about: 'what the guest says of cloud-init',
  dictionary: [
    '-- vmctl --\n',
    'done\n',
    'running\n',
    'disabled\n',
    '{"v1":{"errors":[]}}',
    '"recoverable_errors":{"WARNING":["x"]}',
    'null',
    '"status":"error"',
    '[]',
    '__proto__',
  ],
  open: () =>
    pureTrial((input) => {
      const text = input.toString()
      const bootId = parseBootId(text)
      assert.ok(bootId === undefined || text.includes(bootId))
      const report = parseProbe(text)
      if (report.state !== 'done') return
      for (const list of [report.errors, report.recoverable]) for (const error of list) assert.equal(typeof error, 'string')
      assert.ok(['string', 'undefined'].includes(typeof report.datasource))
    }),
}
