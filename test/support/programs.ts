import {spawnSync} from 'node:child_process'

import {describe, type SuiteOptions, test, type TestContext, type TestOptions} from 'vitest'

/** Why a test that needs a program cannot run; undefined when it can. Under CI it runs in any case, and fails. */
export const missingProgram = (name: string, args: readonly string[] = ['--version']): string | undefined =>
  process.env.CI !== 'true' && spawnSync(name, args, {stdio: 'ignore'}).error ? `${name} is not installed` : undefined

const isRoot = process.getuid?.() === 0

/** Why a test that changes networks, users or owners cannot run. */
export const needsRoot = (): string | undefined => (isRoot ? undefined : 'it needs root')

/** Why a test of what is forbidden cannot run. */
export const needsUser = (): string | undefined => (isRoot ? 'nothing is forbidden to root' : undefined)

/** Why a test that needs a way to root cannot run. */
export const needsElevation = (): string | undefined =>
  isRoot || spawnSync('sudo', ['-n', 'true'], {stdio: 'ignore'}).status === 0 ? undefined : 'it needs root, or sudo without a password'

const titled = (name: string, missing: string | undefined): string => (missing === undefined ? name : `${name} (skipped: ${missing})`)

type TestBody = (context: TestContext) => unknown

/** `test`, or when something is missing a skipped test that says so in its name. */
export const testUnless =
  (missing: string | undefined) =>
  (name: string, ...rest: readonly [TestBody] | readonly [TestOptions, TestBody]): void => {
    const [options, body] = rest.length === 1 ? [{}, rest[0]] : rest
    test.skipIf(missing !== undefined)(titled(name, missing), options, async (context) => {
      await body(context)
    })
  }

/** `describe`, or when something is missing a skipped one that says so in its name. */
export const describeUnless =
  (missing: string | undefined) =>
  (name: string, ...rest: readonly [() => void] | readonly [SuiteOptions, () => void]): void => {
    const [options, body] = rest.length === 1 ? [{}, rest[0]] : rest
    describe.skipIf(missing !== undefined)(titled(name, missing), options, () => {
      body()
    })
  }
