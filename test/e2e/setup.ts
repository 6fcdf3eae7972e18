import {execFileSync, spawnSync} from 'node:child_process'
import {dirname, join, resolve} from 'node:path'
import {fileURLToPath} from 'node:url'

import type {TestProject} from 'vitest/node'

import {absent} from '../support/vm-lab-programs.ts'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..')

const say = (text: string): void => {
  process.stderr.write(`e2e: ${text}\n`)
}

/** Builds the program and the guests once, before the first test. */
export const setup = (project: TestProject): void => {
  // What `npm run build` does.
  for (const words of [['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'], ['scripts/bundle.ts']]) {
    execFileSync(process.execPath, words, {cwd: root, stdio: ['ignore', 2, 2]})
  }
  const missing = absent('qemu-system-x86_64', 'qemu-img', 'ssh')
  const cannotRun =
    process.platform === 'linux'
      ? missing.length > 0
        ? `${missing.join(', ')} not installed; sh scripts/setup.sh run test installs what the tests need`
        : ''
      : 'QEMU tests need Linux'
  if (cannotRun !== '' && process.env.CI === 'true') throw new Error(`CI must run every test, but ${cannotRun}`)
  project.provide('cannotRun', cannotRun)
  // VMCTL_E2E_GUESTS=micro spares whoever works on one file the build of the other guests.
  const wanted = process.env.VMCTL_E2E_GUESTS?.split(',')
  for (const guest of ['micro', 'debian', 'openrc'] as const) {
    project.provide(guest, cannotRun === '' && (wanted?.includes(guest) ?? true) ? build(guest) : '')
  }
}

/** Builds a guest, or finds it built; empty when that fails, which the tests that need it tell about. */
const build = (guest: string): string => {
  const result = spawnSync('sh', [join(root, 'fixtures/guests/build.sh'), guest], {encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit']})
  if (result.status === 0) return result.stdout.trim()
  say(`the ${guest} guest could not be built`)
  if (guest === 'micro' || process.env.CI === 'true') throw new Error(`The ${guest} guest could not be built.`)
  return ''
}
