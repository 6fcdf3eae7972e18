import {mkdirSync, rmSync} from 'node:fs'

import {afterAll, afterEach, beforeAll, inject, test, type TestContext} from 'vitest'

import {makeLab, type VmLab} from './vm-lab.ts'
import {absent} from './vm-lab-programs.ts'
import {stopAll} from './vm-processes.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Path of the micro guest's image; empty when the host cannot run guests. */
    micro: string
    /** Path of the Debian guest's image; empty when it could not be built. */
    debian: string
    /** Path of the OpenRC guest's image; empty when it could not be built. */
    openrc: string
    /** Why no VM can run here; empty when one can. */
    cannotRun: string
  }
}

export interface Scenario {
  readonly lab: VmLab
  /** A step of the story; the steps after one that failed are skipped, since they rest on it. */
  step(sentence: string, body: (context: TestContext) => unknown, timeoutMs?: number): void
  /** A step on which nothing rests: the others run also when it fails. */
  check(sentence: string, body: (context: TestContext) => unknown, timeoutMs?: number): void
}

export interface ScenarioOptions {
  /** Where the state directory is to be, below the test's root. */
  readonly stateDirectory?: (root: string) => string
  /** Why this scenario cannot run on the host. It fails instead under CI. */
  readonly missing?: string | undefined
}

const isKept = process.env.VMCTL_E2E_KEEP === '1'
const isCi = process.env.CI === 'true'

/** One end-to-end story: a lab of its own, sentences as steps, and an end in which no VM is left over. */
export const scenario = (name: string, options: ScenarioOptions = {}): Scenario => {
  const missing = inject('cannotRun') || options.missing
  const lab = makeLab(name, options.stateDirectory)
  let failed: string | undefined
  let broken: string | undefined
  const steps = new Set<string>()

  beforeAll(() => {
    if (missing) {
      if (isCi) throw new Error(`CI must run every test, but ${missing}`)
      process.stderr.write(`e2e: ${name} is skipped: ${missing}\n`)
      return
    }
    for (const directory of [lab.root, lab.home, lab.project]) mkdirSync(directory, {mode: 0o755})
  })
  afterEach(({task}) => {
    if (task.result?.state !== 'fail') return
    failed ??= task.name
    if (steps.has(task.name)) broken ??= task.name
  })
  afterAll(async () => {
    if (missing) return
    if (isKept) {
      process.stderr.write(`e2e: ${name}: everything was kept in ${lab.root}, running VMs included\n`)
      return
    }
    await stopAll(lab.root)
    if (failed === undefined) rmSync(lab.root, {recursive: true, force: true, maxRetries: 3})
    else process.stderr.write(`e2e: ${name}: "${failed}" failed; transcript, logs and VM directories are in ${lab.root}\n`)
  })
  const check: Scenario['check'] = (sentence, body, timeoutMs = 150_000) => {
    test(
      missing ? `${sentence} (skipped: ${missing})` : sentence,
      {timeout: timeoutMs, skip: Boolean(missing) && !isCi},
      async (context) => {
        if (broken !== undefined) context.skip(`"${broken}" failed before`)
        await body(context)
      },
    )
  }
  return {
    lab,
    check,
    step(sentence, body, timeoutMs) {
      steps.add(sentence)
      check(sentence, body, timeoutMs)
    },
  }
}

/** Why a program of the host keeps a scenario from running; undefined when it is there. */
export const needs = (...programs: readonly string[]): string | undefined => {
  const names = absent(...programs)
  return names.length === 0 ? undefined : `${names.join(', ')} not installed`
}
