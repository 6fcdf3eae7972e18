import {elevate} from '../../model/elevate.ts'
import {quote, quoteAll} from '../../model/quote.ts'
import type {JobSpec} from './job-spec.ts'
import type {Delivered} from '../provisioner.ts'

/**
 * Exit statuses of the follower, all about the job and none the command's own. Success has one too: a login shell that
 * runs nothing ends with 0.
 */
export const verdicts = {
  succeeded: 88,
  failed: 89,
  notMade: 90,
  cutUpload: 91,
  died: 92,
  rebooted: 93,
  gone: 94,
  neverStarted: 95,
  noPlace: 96,
  noAccess: 97,
} as const

/** The text of `inner`: environment and arguments live in this file, so no value is seen by a process list. */
export const innerProgram = (spec: JobSpec): string => {
  const exports = Object.entries(spec.env).map(([name, value]) => `export ${name}=${quote(value)}`)
  const args = spec.args.map((argument) => ` ${quote(argument)}`).join('')
  // A script is a program of its own; an inline text is for the login shell, when that is of the Bourne family.
  // zsh would read ~/.zshenv once more (-f: not), and what that says is no output of the step.
  const shell =
    '$(case "$VMCTL_SHELL" in */zsh) echo "$VMCTL_SHELL -f" ;; */bash|*/ksh|*/ksh93|*/mksh) echo "$VMCTL_SHELL" ;; *) echo /bin/sh ;; esac) '
  const program = spec.interpreter === undefined ? (spec.executable ? '' : shell) : `${quoteAll(spec.interpreter.trim().split(/\s+/))} `
  // The step's own variables come last, so that none of them (PWD, HOME, PATH, …) is taken for one of ours.
  const start = [`set -- ${program}"$PWD/script"${args}`, 'cd "$HOME" 2>/dev/null || cd /', 'unset VMCTL_SHELL']
  return [...start, ...exports, 'exec "$@"', ''].join('\n')
}

/**
 * `run`: claims the job, runs `inner`, and writes `rc` last and as a whole. It takes no room on the disk: whatever a step
 * fills, its result is told, and one that could not be told is not begun. What the step did is on the disk of the guest
 * before its result is there: a host that loses its power must not remember a step that the guest has forgotten.
 */
const runProgram = (privileged: boolean): string => {
  const inner = 'sh -c \'cd "$1" && VMCTL_SHELL=$2 && export VMCTL_SHELL && . ./inner\' vmctl "$PWD" "$SHELL"'
  return `mv room claim 2>/dev/null || exit 0
printf '%9d\\n' $$ 1<>pid.tmp && mv pid.tmp pid
${privileged ? elevate(inner) : inner} </dev/null >>out 2>>err
code=$?
sync
printf '%3d\\n' "$code" 1<>rc.tmp && mv rc.tmp rc`
}

/**
 * Follows a job: prints what is new of `out` and `err` from the given offsets until `rc` is there. Whole blocks go
 * straight from dd to the connection; only the ends of a stretch pass through pipes that cut them to size.
 * What is looked at in every round is read by the shell itself: a process costs a slow guest more than the round's pause.
 * When nobody takes the output any more, because the connection is gone, it ends.
 */
const followProgram = `emit() {
  [ -s "$1" ] || return 1
  s=$(($(wc -c <"$1"))); [ "$s" -gt "$2" ] || return 1
  skip=$(($2/65536)) rest=$(($2%65536))
  if [ $rest -eq 0 ] && [ $((s-$2)) -ge 65536 ]; then
    n=$(((s-$2)/65536)) s=$(($2+(s-$2)/65536*65536)) much=1
    dd if="$1" bs=65536 skip=$skip count=$n 2>/dev/null || exit 1
  else
    [ $((s-$2)) -le $((65536-rest)) ] || s=$(($2+65536-rest))
    dd if="$1" bs=65536 skip=$skip count=1 2>/dev/null | tail -c +$((rest+1)) | head -c $((s-$2)) || exit 1
  fi
}
now=; { read -r now </proc/sys/kernel/random/boot_id; } 2>/dev/null
pause=0.01; unborn=0
while :; do
  over=; [ -e rc ] && over=1
  quiet=1 much=
  emit out "$o" && { o=$s; quiet=; }
  emit err "$e" >&2 && { e=$s; quiet=; }
  [ ! "$much" ] || continue
  if [ "$over" ]; then
    [ "$quiet" ] || continue
    read -r code <rc; [ "$code" = 0 ] || exit ${verdicts.failed}
    exit ${verdicts.succeeded}
  fi
  if [ -s boot ]; then read -r boot <boot; [ "$boot" = "$now" ] || [ -e rc ] || exit ${verdicts.rebooted}; fi
  if [ -s pid ]; then read -r pid <pid; kill -0 "$pid" 2>/dev/null || [ -e rc ] || exit ${verdicts.died}
  # Claimed, and for half a minute nobody says that he runs it: a crash of the guest took the file, or the claimer, away.
  else unborn=$((unborn+1)); [ $unborn -lt 150 ] || [ -e rc ] || exit ${verdicts.died}; fi
  case $quiet$pause in 0.1 | 0.2) pause=0.05 ;; esac
  sleep $pause 2>/dev/null || sleep 1
  case $pause in 0.01) pause=0.02 ;; 0.02) pause=0.05 ;; 0.05) pause=0.1 ;; *) pause=0.2 ;; esac
done`

interface StartSettings {
  readonly vmId: string
  readonly innerLines: number
  readonly scriptBytes: number
  readonly privileged: boolean
}

/**
 * Makes the job's directory and tells where: on a disk if possible, where programs may be executed. Then waits for
 * standard input (the lines of `inner`, then the script), starts the job, and follows it. What a vmctl that was killed at
 * a bad moment has left of the same VM goes, unless a job in it still runs.
 */
export const startProgram = (mark: string, {vmId, innerLines, scriptBytes, privileged}: StartSettings): string => `mask=$(umask); umask 077
prefix=${quote(`vmctl-${vmId}-`)}
is_left() {
  [ -d "$1" ] && [ ! -L "$1" ] && [ -O "$1" ] || return 1
  [ -e "$1/rc" ] || [ ! -s "$1/pid" ] || { read -r pid <"$1/pid"; ! kill -0 "$pid" 2>/dev/null; }
}
for parent in /var/tmp /tmp "$HOME"; do
  for old in "$parent/$prefix"*; do if is_left "$old"; then rm -rf "$old"; fi; done
done
directory=
for parent in /var/tmp /tmp "$HOME"; do
  directory=$(mktemp -d "$parent/$prefix"XXXXXXXXXX 2>/dev/null) || continue
  # On a file system that is mounted noexec no file is executable.
  : >"$directory/script" && chmod 700 "$directory/script" && [ -x "$directory/script" ] && break
  rm -rf "$directory"; directory=
done
[ "$directory" ] || exit ${verdicts.noPlace}
cd "$directory" && : >out && : >err || exit ${verdicts.notMade}
echo "${mark}$directory"
# The job's files are private; what the step makes has the permissions of a login.
echo "umask $mask" >inner
n=0; while [ $n -lt ${innerLines} ]; do IFS= read -r line || exit ${verdicts.cutUpload}; printf '%s\\n' "$line" || exit ${verdicts.cutUpload}; n=$((n+1)); done >>inner
cat >script; [ $(($(wc -c <script))) -eq ${scriptBytes} ] || exit ${verdicts.cutUpload}
(read -r boot </proc/sys/kernel/random/boot_id && echo "$boot" >boot) 2>/dev/null
mkdir room && printf '%9s\\n' '' >pid.tmp && printf '%3s\\n' '' >rc.tmp || exit ${verdicts.notMade}
[ ! -e claim ] || exit ${verdicts.neverStarted}
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
export const attachProgram = (
  mark: string,
  directory: string,
  delivered: Delivered,
): string => `cd ${quote(directory)} 2>/dev/null || exit ${verdicts.gone}
[ -e rc ] || { ${fence} && exit ${verdicts.neverStarted}; }
echo "${mark}$PWD"
o=${delivered.stdout}; e=${delivered.stderr}
${followProgram}`

/**
 * Ends a job and what it started: the children of its shell and theirs, and whoever is in a session of one of them, even
 * when its parent is gone.
 */
export const killProgram = (
  directory: string,
): string => `cd ${quote(directory)} 2>/dev/null || { [ -d ${quote(directory)} ] && [ ! -x ${quote(directory)} ] && exit ${verdicts.noAccess}; exit 0; }
[ -e rc ] && exit 0
${fence} && exit 0
[ "$(cat boot 2>/dev/null)" = "$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)" ] || exit 0
[ -s pid ] && read -r top <pid || exit 0
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
# Five seconds by the clock, where there is one that costs no process: on a slow guest each look takes long.
clock() { { read -r up _ </proc/uptime; } 2>/dev/null && up=\${up%%.*} || up=0; }
clock; since=$up
n=0; while [ $n -lt 50 ] && [ $((up - since)) -le 5 ]; do live=; for i in $all; do kill -0 $i 2>/dev/null && live=1; done; [ "$live" ] || break; n=$((n+1)); sleep 0.1 2>/dev/null || { n=$((n+9)); sleep 1; }; clock; done
# Stopped first, and again what was begun meanwhile: a loop whose command is killed would begin the next one before it is killed itself.
for pass in 1 2; do kill -STOP $(tree) 2>/dev/null; done
kill -KILL $(tree) 2>/dev/null
exit 0`
