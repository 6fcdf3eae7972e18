import {readFileSync} from 'node:fs'
import {join} from 'node:path'

import {expect} from 'vitest'

import {comparable, pagesToRun, runPage} from '../../scripts/sessions.ts'
import {missingProgram, testUnless} from '../support/programs.ts'
import {sshdMissing} from '../support/sshd.ts'

const pages = [...pagesToRun()].filter(([, guests]) => guests === 'noop').map(([page]) => page)
const missing = sshdMissing() ?? missingProgram('script') ?? missingProgram('qemu-img')

for (const page of pages)
  testUnless(missing)(`the commands of ${page} print what stands there (\`npm run docs\` writes it)`, async () => {
    const text = readFileSync(join(import.meta.dirname, '../..', page), 'utf8')
    expect(comparable(await runPage(page, 'bin/dev.js'))).toBe(comparable(text))
  })
