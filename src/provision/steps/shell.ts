import {basename} from 'node:path'

import {hashFile} from '../../host/hash.ts'
import {messageOf, VmctlError} from '../../model/errors.ts'
import {formatDuration} from '../../model/quantity.ts'
import type {ShellSettings} from '../../model/steps.ts'
import type {JobSpec} from '../job/job-spec.ts'
import {attachJob, isConnectionLost, type Job, type JobOutcome, killJob, removeJob, startJob} from '../job/job.ts'
import type {Provisioner, StepContext} from '../provisioner.ts'

/** What is remembered of a running step: where its job is. */
interface ShellMemory extends Job {
  /** Whether the job runs as root, which ending it takes. */
  readonly privileged: boolean
  /** The boot of the guest on which it was started, where the guest tells. */
  readonly bootId?: string | undefined
}

/** `provision "shell"`: a command or a script, run in the guest as a job that survives the connection. */
export const shellProvisioner: Provisioner<ShellSettings> = {
  type: 'shell',
  // start-job.sh
  sweeps: true,

  describe: ({inline, script}) => (inline === undefined ? `script: ${basename(script)}` : `inline: ${firstLine(inline)}`),

  async facts({inline, script, args, env, secretEnv, interpreter, privileged}, {env: inherited}) {
    const content = script === undefined ? {command: inline} : {[`script ${script}`]: await hashFile(script)}
    return {...content, arguments: args, environment: {...inherited, ...env, ...secretEnv}, interpreter, privilege: privileged}
  },

  async run(settings, context) {
    const deadline = settings.timeoutMs === undefined ? undefined : AbortSignal.timeout(settings.timeoutMs)
    const signal = deadline ? AbortSignal.any([context.signal, deadline]) : context.signal
    const running: {job?: ShellMemory} = {}
    try {
      await hidingSecrets(settings, {...context, signal}, async (hidden) => {
        judge(await followToTheEnd(settings, hidden, running), context.step)
      })
    } catch (error) {
      const cancelled = deadline?.aborted === true || context.signal.aborted
      if (cancelled && running.job) await endJob(running.job, context, `Step ${context.step}`)
      if (deadline?.aborted === true && !context.signal.aborted) {
        throw new VmctlError(
          'vmctl::provision::timed_out',
          `Step ${context.step} did not finish within ${formatDuration(settings.timeoutMs ?? 0)} and was ended.`,
        )
      }
      throw error
    }
  },

  unkept: ({secretEnv}) => (Object.keys(secretEnv ?? {}).length > 0 ? 'it has secrets' : undefined),

  async abandon(memory, context) {
    if (isMemory(memory)) await endJob(memory, context, 'The earlier run')
  },
}

/** Does something with a context whose output shows no secret: neither the log nor the terminal ever gets one. */
const hidingSecrets = async (
  {secretEnv}: ShellSettings,
  context: StepContext,
  action: (hidden: StepContext) => Promise<void>,
): Promise<void> => {
  const values = Object.values(secretEnv ?? {})
  if (values.length === 0) return action(context)
  const {masking} = await import('../log/masking.ts')
  const streams = {stdout: masking(values), stderr: masking(values)}
  try {
    await action({
      ...context,
      output: async (stream, chunk) => {
        const shown = streams[stream].next(chunk)
        if (shown.length > 0) await context.output(stream, shown)
      },
    })
  } finally {
    for (const stream of ['stdout', 'stderr'] as const) {
      const rest = streams[stream].end()
      if (rest.length > 0) await context.output(stream, rest)
    }
  }
}

/** Ends a job that is given up. One that could not be reached may still run, and must not be taken for ended. */
const endJob = async (job: ShellMemory, context: Pick<StepContext, 'guest' | 'afterwards'>, what: string): Promise<void> => {
  try {
    await killJob(await context.guest(), job.directory, job.privileged)
  } catch (error) {
    throw new VmctlError(
      'vmctl::ssh::connection_lost',
      `${what} could not be ended in the guest, where it may still run: ${messageOf(error)}`,
      {
        cause: error,
      },
    )
  }
  tidyAfterwards(job, context)
}

/** Milliseconds that tidying up may take; it happens after Ctrl+C too, so it has a deadline of its own. */
const tidyingMs = 10_000

const tidyAfterwards = ({directory}: Job, context: Pick<StepContext, 'guest' | 'afterwards'>): void => {
  context.afterwards(async () => removeJob(await context.guest(), directory, AbortSignal.timeout(tidyingMs)))
}

const firstLine = (text: string): string => {
  const line = text.trim().split('\n')[0] ?? ''
  return line.length > 60 ? `${line.slice(0, 59)}…` : line
}

/** How following ended, by what is known of the guest's boots. */
type Ending = JobOutcome | 'gone-with-boot'

/** How many times in a row a connection may be lost without a byte of progress. */
const patience = 3

/** Starts the job, or comes back to the one that an earlier vmctl left, and stays with it over lost connections. */
const followToTheEnd = async (settings: ShellSettings, context: StepContext, running: {job?: ShellMemory}): Promise<Ending> => {
  const spec: JobSpec = {
    script: settings.inline === undefined ? {path: settings.script} : {text: `${settings.inline}\n`},
    executable: settings.inline === undefined,
    interpreter: settings.interpreter,
    args: settings.args,
    env: {...context.env, ...settings.env, ...settings.secretEnv},
    privileged: settings.privileged,
  }
  const progress = {...context.delivered}
  let memory = isMemory(context.memory) ? context.memory : undefined
  for (let losses = 0; ;) {
    const before = progress.stdout + progress.stderr
    const hadJob = memory !== undefined
    try {
      if (memory) {
        running.job = memory
        const outcome = await sinceBoot(await attachJob(memory, context, progress), memory, context)
        if (outcome !== 'never-started') return conclude(outcome, memory, context)
        tidyAfterwards(memory, context)
      }
      const onMade = async ({directory}: Job): Promise<void> => {
        const {bootId} = await context.guest()
        memory = {directory, privileged: settings.privileged, ...(bootId !== undefined && {bootId})}
        running.job = memory
        await context.remember(memory)
      }
      const outcome = await startJob(spec, context, {progress, onMade})
      return conclude(outcome, memory, context)
    } catch (error) {
      if (!isConnectionLost(error) || context.signal.aborted) throw error
      const isFurther = progress.stdout + progress.stderr > before || (memory !== undefined && !hadJob)
      losses = isFurther ? 1 : losses + 1
      if (losses > patience) throw error
    }
  }
}

/** Nobody is told a result on a later boot than the one that the job ran on. */
const sinceBoot = async (outcome: JobOutcome, job: ShellMemory, context: StepContext): Promise<Ending> => {
  if ((outcome !== 'gone' && outcome !== 'died') || job.bootId === undefined) return outcome
  const {bootId} = await context.guest()
  if (bootId === undefined || bootId === job.bootId) return outcome
  return outcome === 'gone' ? 'gone-with-boot' : 'rebooted'
}

/** The guest keeps the result until it is on record here. */
const conclude = (outcome: Ending, job: Job | undefined, context: StepContext): Ending => {
  if (typeof outcome === 'object' && job) tidyAfterwards(job, context)
  return outcome
}

const isMemory = (value: unknown): value is ShellMemory =>
  typeof value === 'object' &&
  value !== null &&
  'directory' in value &&
  typeof value.directory === 'string' &&
  'privileged' in value &&
  typeof value.privileged === 'boolean'

/** The result is the exit status that the job wrote, and nothing else. */
const judge = (outcome: Ending, step: number): void => {
  if (typeof outcome === 'object') {
    if (outcome.exitCode === 0) return
    throw new VmctlError('vmctl::provision::failed', `Step ${step} ended with exit code ${outcome.exitCode}.`, {
      exitCode: outcome.exitCode,
      details: {step},
    })
  }
  const reasons = {
    rebooted: 'the guest has restarted while it ran',
    died: 'it was killed in the guest before it could report a result',
    gone: 'its files are no longer in the guest',
    'gone-with-boot': 'the guest has restarted, and its files are no longer there',
    'never-started': 'it was never started',
  }
  throw new VmctlError('vmctl::provision::unknown_outcome', `What became of step ${step} is unknown: ${reasons[outcome]}.`, {
    ...((outcome === 'rebooted' || outcome === 'gone-with-boot') && {restarted: true}),
    details: {step},
  })
}
