import {spawnSync} from 'node:child_process'

import {test} from 'vitest'

/** Why a test that needs a program cannot run; undefined when it can. Under CI it runs in any case, and fails. */
export const missingProgram = (name: string, args: readonly string[] = ['--version']): string | undefined =>
  process.env.CI !== 'true' && spawnSync(name, args, {stdio: 'ignore'}).error ? `${name} is not installed` : undefined

/** `test`, or when something is missing a skipped test that says so in its name. */
export const testUnless = (missing: string | undefined): ((name: string, body: () => unknown) => void) =>
  missing === undefined
    ? (name, body) => {
        test(name, async () => {
          await body()
        })
      }
    : (name, body) => {
        test.skip(`${name} (skipped: ${missing})`, async () => {
          await body()
        })
      }
