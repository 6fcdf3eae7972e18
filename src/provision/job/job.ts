import type {JobSpec} from './job-spec.ts'
import {randomBytes} from 'node:crypto'
import {createReadStream} from 'node:fs'
import {stat} from 'node:fs/promises'
import {PassThrough, type Readable} from 'node:stream'
import {pipeline} from 'node:stream/promises'

import {VmctlError, isFailure} from '../../model/errors.ts'
import {elevate} from '../../model/elevate.ts'
import {quote} from '../../model/quote.ts'
import {attachProgram, innerProgram, killProgram, startProgram, verdicts} from './job-programs.ts'
import type {Guest, GuestExit, StepContext} from '../provisioner.ts'
import {shellCommand} from '../../model/guest-program.ts'

/**
 * A command in the guest that does not depend on the connection: it runs in a session of its own, writes its output to
 * files, and its result is the content of `rc` and nothing else. Whoever follows it reads the files by offset and may
 * come and go. Everything in the guest is POSIX sh.
 *
 * A job's directory (0700, made by mktemp) holds:
 * `script` what was uploaded · `inner` what runs it · `out`, `err` its output · `claim` taken by the one run that may
 * ever happen, or by a vmctl that makes sure that none ever does · `boot`, `pid` since which boot and who runs · `rc` the
 * exit status, written last · `room`, `pid.tmp`, `rc.tmp` what `claim`, `pid` and `rc` are made of, so that a full disk is
 * noticed before anything runs.
 */
export interface Job {
  /** Absolute path in the guest. */
  readonly directory: string
}

/** Removes the directory of a job; it is private and harmless, so a failure is not worth a word. */
export const removeJob = async (guest: Guest, directory: string, signal: AbortSignal): Promise<void> => {
  await guest.exec(`rm -rf ${quote(directory)}`, {signal}).catch(() => undefined)
}

/** How following ended: the command's exit status, or why there is none. */
export type JobOutcome = {readonly exitCode: number} | 'never-started' | 'gone' | 'rebooted' | 'died'

/** Counts the bytes that were handed over, over all the connections that a job is followed by. */
export interface Progress {
  stdout: number
  stderr: number
}

/** Bytes of output that may be on their way to the log and the terminal before the guest has to wait. */
const aheadBytes = 4 * 2 ** 20

/**
 * Starts a job, and follows it to its end. Nothing runs before `onMade` has kept where the job is: whatever happens
 * from then on, it can be found again.
 */
export const startJob = async (
  spec: JobSpec,
  context: StepContext,
  {progress, onMade}: {readonly progress: Progress; readonly onMade: (job: Job) => Promise<void>},
): Promise<JobOutcome> => {
  const inner = innerProgram(spec)
  const {script} = spec
  const scriptBytes = 'text' in script ? Buffer.byteLength(script.text) : (await stat(script.path)).size
  const stdin = new PassThrough()
  const input = async function* () {
    yield inner
    if ('text' in script) yield script.text
    else yield* createReadStream(script.path)
  }
  return follow(
    (mark) => startProgram(mark, {vmId: context.vm.id, innerLines: inner.split('\n').length - 1, scriptBytes, privileged: spec.privileged}),
    context,
    {
      progress,
      stdin,
      onFound: async (job) => {
        await onMade(job)
        // A script that cannot be read destroys `stdin` with its error.
        pipeline(input, stdin).catch(() => undefined)
      },
    },
  )
}

/** Follows a job that was started earlier from where its output was left. */
export const attachJob = ({directory}: Job, context: StepContext, progress: Progress): Promise<JobOutcome> =>
  follow((mark) => attachProgram(mark, directory, progress), context, {progress})

interface Following {
  readonly progress: Progress
  readonly stdin?: Readable
  /** Gets the job as soon as the program is in its directory. */
  readonly onFound?: (job: Job) => Promise<void>
}

/** What comes before the program's first word: a login shell may greet. */
const greetingBytes = 64 * 2 ** 10

/** Runs one of the two programs, which begin with a line of the given mark and the job's directory. */
const follow = async (
  program: (mark: string) => string,
  context: StepContext,
  {progress, stdin, onFound}: Following,
): Promise<JobOutcome> => {
  const mark = `vmctl-${randomBytes(12).toString('hex')} `
  let head = Buffer.alloc(0)
  let job: Job | undefined
  const find = async (chunk: Buffer): Promise<void> => {
    head = Buffer.concat([head, chunk])
    const at = head.indexOf(mark)
    const end = at === -1 ? -1 : head.indexOf('\n', at)
    if (end !== -1) {
      job = {directory: head.toString('utf8', at + mark.length, end)}
      const rest = head.subarray(end + 1)
      await Promise.all([onFound?.(job), rest.length > 0 && deliver('stdout', rest)])
    } else if (head.length > greetingBytes) throw notFollowed('it prints something else', onFound !== undefined)
  }
  const pending = new Set<Promise<void>>()
  const deliver = (stream: 'stdout' | 'stderr', chunk: Buffer): Promise<void> => {
    const shown = context.output(stream, chunk).then(() => {
      progress[stream] += chunk.length
    })
    pending.add(shown)
    const forget = (): void => void pending.delete(shown)
    shown.then(forget, forget)
    return shown
  }
  const guest = await context.guest()
  const exec = guest.exec(shellCommand(program(mark)), {
    ...(stdin && {stdin}),
    onStdout: (chunk) => (job ? deliver('stdout', chunk) : find(chunk)),
    onStderr: (chunk) => deliver('stderr', chunk),
    aheadBytes,
    signal: context.signal,
  })
  const exit = await exec.catch(async (error: unknown) => {
    // What is on its way to a slow terminal while the connection breaks must be counted, or it would be fetched again.
    if (isConnectionLost(error)) await Promise.allSettled(pending)
    throw error
  })
  if (exit.code === verdicts.succeeded) return {exitCode: 0}
  return exit.code === verdicts.failed && job
    ? readResult(await context.guest(), job, context.signal)
    : verdictOf(exit, onFound !== undefined && !job)
}

/** `isNew`: nothing can have run yet. */
const verdictOf = (exit: GuestExit, isNew: boolean): JobOutcome => {
  if (exit.code === verdicts.rebooted) return 'rebooted'
  if (exit.code === verdicts.died) return 'died'
  if (exit.code === verdicts.gone) return 'gone'
  if (exit.code === verdicts.neverStarted) return 'never-started'
  if (exit.code === verdicts.noPlace) {
    throw new VmctlError(
      'vmctl::provision::failed',
      'The guest has no directory in which a step could run (/var/tmp, /tmp and the home directory were tried); is its disk full?',
    )
  }
  if (exit.code === verdicts.notMade || exit.code === verdicts.cutUpload) {
    throw new VmctlError('vmctl::provision::failed', 'The step could not be put into the guest; is its disk full?')
  }
  throw notFollowed(exit.signal ?? `status ${exit.code}`, isNew && exit.code !== null)
}

/** A follower that ended in another way than it can says nothing about the job, which goes on; unless there is none. */
const notFollowed = (how: string, isNew: boolean): VmctlError =>
  isNew
    ? new VmctlError('vmctl::provision::failed', `The login shell in the guest does not run the program that a step needs (${how}).`)
    : new VmctlError('vmctl::ssh::connection_lost', `The guest ended the connection's shell (${how}).`)

const readResult = async (guest: Guest, {directory}: Job, signal: AbortSignal): Promise<JobOutcome> => {
  let text = ''
  const {code} = await guest.exec(`cat ${quote(`${directory}/rc`)}`, {
    onStdout: (chunk) => {
      text += chunk.toString()
    },
    signal,
  })
  const exitCode = Number(text.trim())
  if (code !== 0 || text.trim() === '' || !Number.isInteger(exitCode)) return 'gone'
  return {exitCode}
}

/** Time for the five seconds below, in a guest that may be slow to start a shell and to look at its processes. */
const killingMs = 30_000

/**
 * Ends everything that a job started: SIGTERM, five seconds, SIGKILL; as root when the job runs as root.
 * That is: the children of its shell and theirs, and whoever is in a session of one of them, even when its parent is gone.
 */
export const killJob = async (guest: Guest, directory: string, privileged: boolean): Promise<void> => {
  const command = shellCommand(killProgram(directory))
  const run = (asRoot: boolean) => guest.exec(asRoot ? elevate(command) : command, {signal: AbortSignal.timeout(killingMs)})
  const first = await run(privileged)
  // It may have been started by another user than the one who logs in now.
  const {code, signal} = first.code === verdicts.noAccess ? await run(true) : first
  if (code !== 0) throw new Error(`the shell in the guest ended with ${signal ?? `status ${code}`}`)
}

/** Whether an error means that the connection is gone and the job may well go on. */
export const isConnectionLost = (error: unknown): boolean => isFailure(error, 'vmctl::ssh::connection_lost')
