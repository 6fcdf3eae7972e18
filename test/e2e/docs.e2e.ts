import {readFileSync} from 'node:fs'
import {join} from 'node:path'

import {expect, inject} from 'vitest'

import {comparable, pagesToRun, runPage} from '../../scripts/sessions.ts'
import {missingProgram, testUnless} from '../support/programs.ts'

/** The pages whose commands need a guest. Their order is that of the alphabet, one after the other. */
const pages = [...pagesToRun()].filter(([, guests]) => guests === 'micro').map(([page]) => page)

for (const page of pages)
  testUnless(inject('cannotRun') || missingProgram('script'))(`the commands of ${page} print what stands there`, async () => {
    const text = readFileSync(join(import.meta.dirname, '../..', page), 'utf8')
    expect(comparable(await runPage(page))).toBe(comparable(text))
  })
