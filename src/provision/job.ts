import {createReadStream} from 'node:fs'
import {stat} from 'node:fs/promises'
import {Readable} from 'node:stream'

import {isVmctlError, VmctlError} from '../model/errors.ts'
import {elevate} from '../model/elevate.ts'
import {quote} from '../model/quote.ts'
import type {Delivered, Guest, GuestExit, StepContext} from './provisioner.ts'

/**
 * A command in the guest that does not depend on the connection: it runs in a session of its own, writes its output to
 * files, and its result is the content of `rc` and nothing else. Whoever follows it reads the files by offset and may
 * come and go. Everything in the guest is POSIX sh.
 *
 * A job's directory (0700, in a directory made by mktemp) holds:
 * `inner` what is run · `script` the uploaded script · `out`, `err` its output · `claim` taken by the one run that may
 * ever happen, or by a vmctl that makes sure that none ever does · `pid`, `boot` who runs and since which boot · `rc` the exit status, written last.
 */
export interface Job {
  /** Absolute path in the guest. */
  readonly directory: string
}

export interface JobSpec {
  /** Text of the script, or the local file that holds it. */
  readonly script: {readonly text: string} | {readonly path: string}
  /** Whether `script` is a program with its own first line, or a text for the login shell. */
  readonly executable: boolean
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly privileged: boolean
}

/** Exit statuses of the follower that say something about the job and not about its command. */
const verdicts = {notMade: 90, cutUpload: 91, died: 92, rebooted: 93, gone: 94, neverStarted: 95, noAccess: 96} as const

/**
 * Makes the private directory in which the jobs of one step live: on a disk if possible, where programs may be executed.
 * What a vmctl that was killed at a bad moment has left of the same VM goes, unless a job in it still runs.
 */
export const makeJobRoot = async (guest: Guest, vmId: string, signal: AbortSignal): Promise<string> => {
  const program = `umask 077; prefix=${quote(`vmctl-${vmId}-`)}
is_left() {
  [ -d "$1" ] && [ ! -L "$1" ] && [ -O "$1" ] || return 1
  for job in "$1"/*/; do
    [ -e "$job/rc" ] || [ ! -s "$job/pid" ] || ! kill -0 "$(cat "$job/pid")" 2>/dev/null || return 1
  done
}
for parent in /var/tmp /tmp "$HOME"; do
  for old in "$parent/$prefix"*; do if is_left "$old"; then rm -rf "$old"; fi; done
done
for parent in /var/tmp /tmp "$HOME"; do
  root=$(mktemp -d "$parent/$prefix"XXXXXXXXXX 2>/dev/null) || continue
  # On a file system that is mounted noexec no file is executable.
  : >"$root/try" && chmod 700 "$root/try" && [ -x "$root/try" ] && { printf '%s' "$root"; exit 0; }
  rm -rf "$root"
done
exit 1`
  let root = ''
  const {code} = await guest.exec(`sh -c ${quote(program)}`, {
    onStdout: (chunk) => {
      root += chunk.toString()
    },
    signal,
  })
  if (code !== 0 || !root.startsWith('/')) {
    throw new VmctlError(
      'vmctl::provision::failed',
      'The guest has no directory in which a step could run (/var/tmp, /tmp and the home directory were tried).',
    )
  }
  return root
}

/** Removes job directories; they are private and harmless, so a failure is not worth a word. */
export const removeJobRoot = async (guest: Guest, root: string, signal: AbortSignal): Promise<void> => {
  await guest.exec(`rm -rf ${quote(root)}`, {signal}).catch(() => undefined)
}

/** The text of `inner`: environment and arguments live in this file, so no value is seen by a process list. */
const innerProgram = (spec: JobSpec): string => {
  const exports = Object.entries(spec.env).map(([name, value]) => `export ${name}=${quote(value)}`)
  const args = spec.args.map((argument) => ` ${quote(argument)}`).join('')
  // A script is a program of its own; an inline text is for the login shell, when that is of the Bourne family.
  const shell = '"$(case "$VMCTL_SHELL" in */bash|*/zsh|*/ksh|*/mksh) echo "$VMCTL_SHELL" ;; *) echo /bin/sh ;; esac)" '
  // The step's own variables come last, so that none of them (PWD, HOME, PATH, …) is taken for one of ours.
  const start = [`set -- ${spec.executable ? '' : shell}"$PWD/script"${args}`, 'cd "$HOME" 2>/dev/null || cd /', 'unset VMCTL_SHELL']
  return [...start, ...exports, 'exec "$@"', ''].join('\n')
}

/** `run`: claims the job, runs `inner`, and writes `rc` last and as a whole. */
const runProgram = (privileged: boolean): string => {
  const inner = 'sh -c \'cd "$1" && VMCTL_SHELL=$2 && export VMCTL_SHELL && . ./inner\' vmctl "$PWD" "$SHELL"'
  return `mkdir claim 2>/dev/null || exit 0
echo $$ >pid; cat /proc/sys/kernel/random/boot_id >boot 2>/dev/null
${privileged ? elevate(inner) : inner} </dev/null >>out 2>>err
echo $? >rc.tmp; mv rc.tmp rc`
}

/** Follows a job: prints what is new of `out` and `err` from the given offsets until `rc` is there. */
const followProgram = `emit() {
  s=$(($(wc -c <"$1"))); [ "$s" -gt "$2" ] || return 1
  dd if="$1" bs=65536 skip=$(($2/65536)) count=$(((s+65535)/65536-$2/65536)) 2>/dev/null | tail -c +$(($2%65536+1)) | head -c $((s-$2))
}
pause=0.05; unborn=0
while :; do
  over=; [ -e rc ] && over=1
  quiet=1
  emit out "$o" && { o=$s; quiet=; }
  emit err "$e" >&2 && { e=$s; quiet=; }
  [ "$over" ] && exit 0
  if [ -s boot ] && [ "$(cat boot)" != "$(cat /proc/sys/kernel/random/boot_id)" ]; then [ -e rc ] || exit ${verdicts.rebooted}; fi
  if [ -s pid ] && ! kill -0 "$(cat pid)" 2>/dev/null; then [ -e rc ] || exit ${verdicts.died}; fi
  # Claimed, and for half a minute nobody says that he runs it: a crash of the guest took the file, or the claimer, away.
  if [ ! -s pid ]; then unborn=$((unborn+1)); [ $unborn -lt 150 ] || [ -e rc ] || exit ${verdicts.died}; fi
  if [ "$quiet" ]; then case $pause in 0.05) pause=0.1 ;; *) pause=0.2 ;; esac; else pause=0.05; fi
  sleep $pause 2>/dev/null || sleep 1
done`

/** Makes the job's directory from standard input (the lines of `inner`, then the script), starts it, and follows it. */
const startProgram = (directory: string, innerLines: number, scriptBytes: number, privileged: boolean): string => `mask=$(umask); umask 077
mkdir ${quote(directory)} && cd ${quote(directory)} || exit ${verdicts.notMade}
: >out; : >err
# The job's files are private; what the step makes has the permissions of a login.
echo "umask $mask" >inner
n=0; while [ $n -lt ${innerLines} ]; do IFS= read -r line || exit ${verdicts.cutUpload}; printf '%s\\n' "$line"; n=$((n+1)); done >>inner
cat >script; [ $(($(wc -c <script))) -eq ${scriptBytes} ] || exit ${verdicts.cutUpload}
chmod 700 script
if command -v setsid >/dev/null 2>&1; then setsid sh -c ${quote(runProgram(privileged))} </dev/null >/dev/null 2>&1 &
else nohup sh -c ${quote(runProgram(privileged))} </dev/null >/dev/null 2>&1 & fi
o=0; e=0
${followProgram}`

/** Takes the claim so that nobody can run the job any more; true when nobody has, or had. A runner's claim is a directory, this one a file. */
const fence = '{ [ -f claim ] || (set -C; : >claim) 2>/dev/null; }'

/**
 * Comes back to a job. One that was never started is fenced off, so that a late starter
 * (its connection may be lost but not yet noticed) can never run it.
 */
const attachProgram = (directory: string, delivered: Delivered): string => `[ -d ${quote(parentOf(directory))} ] || exit ${verdicts.gone}
mkdir ${quote(directory)} 2>/dev/null
cd ${quote(directory)} 2>/dev/null || exit ${verdicts.gone}
[ -e rc ] || { ${fence} && exit ${verdicts.neverStarted}; }
o=${delivered.stdout}; e=${delivered.stderr}
${followProgram}`

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf('/'))

/** How following ended: the command's exit status, or why there is none. */
export type JobOutcome = {readonly exitCode: number} | 'never-started' | 'gone' | 'rebooted' | 'died'

/** Counts the bytes that were handed over, over all the connections that a job is followed by. */
export interface Progress {
  stdout: number
  stderr: number
}

/** Starts a job in a directory that does not exist yet, and follows it to its end. */
export const startJob = async (directory: string, spec: JobSpec, context: StepContext, progress: Progress): Promise<JobOutcome> => {
  const inner = innerProgram(spec)
  const scriptBytes = 'text' in spec.script ? Buffer.byteLength(spec.script.text) : (await stat(spec.script.path)).size
  const script = spec.script
  const input = async function* () {
    yield inner
    if ('text' in script) yield script.text
    else yield* createReadStream(script.path)
  }
  const program = startProgram(directory, inner.split('\n').length - 1, scriptBytes, spec.privileged)
  return follow({program, stdin: Readable.from(input())}, directory, {context, progress})
}

/** Follows a job that was started earlier from where its output was left. */
export const attachJob = (directory: string, context: StepContext, progress: Progress): Promise<JobOutcome> =>
  follow({program: attachProgram(directory, progress)}, directory, {context, progress})

interface Follower {
  readonly context: StepContext
  readonly progress: Progress
}

const follow = async (
  {program, stdin}: {readonly program: string; readonly stdin?: Readable},
  directory: string,
  {context, progress}: Follower,
): Promise<JobOutcome> => {
  const pending = new Set<Promise<void>>()
  const deliver = (stream: 'stdout' | 'stderr') => async (chunk: Buffer) => {
    const shown = context.output(stream, chunk)
    pending.add(shown)
    await shown.finally(() => pending.delete(shown))
    progress[stream] += chunk.length
  }
  const guest = await context.guest()
  const exec = guest.exec(`sh -c ${quote(program)}`, {
    ...(stdin && {stdin}),
    onStdout: deliver('stdout'),
    onStderr: deliver('stderr'),
    signal: context.signal,
  })
  const exit = await exec.catch(async (error: unknown) => {
    // What is on its way to a slow terminal while the connection breaks must be counted, or it would be fetched again.
    if (isConnectionLost(error)) await Promise.allSettled(pending)
    throw error
  })
  return exit.code === 0 ? readResult(await context.guest(), directory, context.signal) : verdictOf(exit)
}

const verdictOf = (exit: GuestExit): JobOutcome => {
  if (exit.code === verdicts.rebooted) return 'rebooted'
  if (exit.code === verdicts.died) return 'died'
  if (exit.code === verdicts.gone) return 'gone'
  if (exit.code === verdicts.neverStarted) return 'never-started'
  if (exit.code === verdicts.notMade || exit.code === verdicts.cutUpload) {
    throw new VmctlError('vmctl::provision::failed', 'The step could not be put into the guest; is its disk full?')
  }
  // A follower that ended in another way says nothing about the job, which goes on.
  throw new VmctlError('vmctl::ssh::connection_lost', `The guest ended the connection's shell (${exit.signal ?? `status ${exit.code}`}).`)
}

const readResult = async (guest: Guest, directory: string, signal: AbortSignal): Promise<JobOutcome> => {
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

/**
 * Ends everything that a job started: SIGTERM, five seconds, SIGKILL; as root when the job runs as root.
 * That is: the children of its shell and theirs, and whoever is in a session of one of them, even when its parent is gone.
 */
export const killJob = async (guest: Guest, directory: string, privileged: boolean): Promise<void> => {
  const root = quote(parentOf(directory))
  const program = `cd ${quote(directory)} 2>/dev/null || { [ -d ${root} ] && [ ! -x ${root} ] && exit ${verdicts.noAccess}; exit 0; }
[ -e rc ] && exit 0
${fence} && exit 0
[ "$(cat boot 2>/dev/null)" = "$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)" ] || exit 0
top=$(cat pid 2>/dev/null) && [ "$top" ] || exit 0
processes() {
  [ -r /proc/self/stat ] || { ps -e -o pid= -o ppid= -o sid= 2>/dev/null; return; }
  for stat in /proc/[0-9]*/stat; do
    IFS= read -r line <"$stat" && set -- \${line##*) } && echo "\${line%% *} $2 $4"
  done 2>/dev/null
}
tree() { processes | awk -v top="$top" '{p[$1]=$2; g[$1]=$3} END {s[top]=1; do {more=0; for (i in p) if (!(i in s) && (p[i] in s || g[i] in s)) {s[i]=1; more=1}} while (more); for (i in s) print i}'; }
all=$(tree)
# Stopped before it is told to end: a shell whose command is ended first would go on with the next one.
for pass in 1 2; do kill -STOP $all 2>/dev/null; all=$(tree); done
kill -TERM $all 2>/dev/null; kill -CONT $all 2>/dev/null
n=0; while [ $n -lt 50 ]; do live=; for i in $all; do kill -0 $i 2>/dev/null && live=1; done; [ "$live" ] || break; n=$((n+1)); sleep 0.1 2>/dev/null || { n=$((n+9)); sleep 1; }; done
# Stopped first, and again what was begun meanwhile: a loop whose command is killed would begin the next one before it is killed itself.
for pass in 1 2; do kill -STOP $(tree) 2>/dev/null; done
kill -KILL $(tree) 2>/dev/null
exit 0`
  const command = `sh -c ${quote(program)}`
  const run = (asRoot: boolean) => guest.exec(asRoot ? elevate(command) : command, {signal: AbortSignal.timeout(15_000)})
  const first = await run(privileged)
  // It may have been started by another user than the one who logs in now.
  const {code, signal} = first.code === verdicts.noAccess ? await run(true) : first
  if (code !== 0) throw new Error(`the shell in the guest ended with ${signal ?? `status ${code}`}`)
}

/** Whether an error means that the connection is gone and the job may well go on. */
export const isConnectionLost = (error: unknown): boolean => isVmctlError(error) && error.code === 'vmctl::ssh::connection_lost'
