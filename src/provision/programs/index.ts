// Made from *.sh beside it by `npm run programs`; what is changed here is lost.
import type {GuestProgram} from '../../model/guest-program.ts'

/** attach-job.sh: Comes back to a job. One that was never started is fenced off, so that a late starter (its connection may be lost but not yet noticed) can never run it. */
export const attachJob: GuestProgram<'mark' | 'directory' | 'out_at' | 'err_at', 'gone' | 'neverStarted' | 'succeeded' | 'failed' | 'died' | 'rebooted'> = {
  variables: ["mark","directory","out_at","err_at"],
  statuses: {"gone":94,"neverStarted":95,"succeeded":88,"failed":89,"died":92,"rebooted":93},
  text: `cd "$directory" 2>/dev/null || exit 94
fence() { [ -f claim ] || (set -C; : >claim) 2>/dev/null; }
[ -e rc ] || { fence && exit 95; }
echo "$mark$PWD"
emit() {
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
emit out "$out_at" && { out_at=$s; quiet=; }
emit err "$err_at" >&2 && { err_at=$s; quiet=; }
[ ! "$much" ] || continue
if [ "$over" ]; then
[ "$quiet" ] || continue
read -r code <rc; [ "$code" = 0 ] || exit 89
exit 88
fi
if [ -s boot ]; then read -r boot <boot; [ "$boot" = "$now" ] || [ -e rc ] || exit 93; fi
if [ -s pid ]; then read -r pid <pid; kill -0 "$pid" 2>/dev/null || [ -e rc ] || exit 92
else unborn=$((unborn+1)); [ $unborn -lt 150 ] || [ -e rc ] || exit 92; fi
case $quiet$pause in 0.1 | 0.2) pause=0.05 ;; esac
sleep $pause 2>/dev/null || sleep 1
case $pause in 0.01) pause=0.02 ;; 0.02) pause=0.05 ;; 0.05) pause=0.1 ;; *) pause=0.2 ;; esac
done`,
}

/** kill-job.sh: Ends a job and what it started: the children of its shell and theirs, and whoever is in a session of one of them, even when its parent is gone. SIGTERM, five seconds, SIGKILL. One that was never started is fenced off. */
export const killJob: GuestProgram<'directory', 'noAccess'> = {
  variables: ["directory"],
  statuses: {"noAccess":97},
  text: `cd "$directory" 2>/dev/null || { [ -d "$directory" ] && [ ! -x "$directory" ] && exit 97; exit 0; }
[ -e rc ] && exit 0
fence() { [ -f claim ] || (set -C; : >claim) 2>/dev/null; }
fence && exit 0
[ "$(cat boot 2>/dev/null)" = "$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)" ] || exit 0
[ -s pid ] && read -r top <pid || exit 0
processes() {
[ -r /proc/self/stat ] || { ps -e -o pid= -o ppid= -o sid= 2>/dev/null; return; }
for stat in /proc/[0-9]*/stat; do
IFS= read -r line <"$stat" && set -- \${line##*\\) } && echo "\${line%% *} $2 $4"
done 2>/dev/null
}
tree() { processes | awk -v top="$top" '{p[$1]=$2; g[$1]=$3} END {s[top]=1; do {more=0; for (i in p) if (!(i in s) && (p[i] in s || g[i] in s)) {s[i]=1; more=1}} while (more); for (i in s) print i}'; }
all=$(tree)
for pass in 1 2; do kill -STOP $all 2>/dev/null; all=$(tree); done
kill -TERM $all 2>/dev/null; kill -CONT $all 2>/dev/null
clock() { { read -r up _ </proc/uptime; } 2>/dev/null && up=\${up%%.*} || up=0; }
clock; since=$up
n=0; while [ $n -lt 50 ] && [ $((up - since)) -le 5 ]; do live=; for i in $all; do kill -0 $i 2>/dev/null && live=1; done; [ "$live" ] || break; n=$((n+1)); sleep 0.1 2>/dev/null || { n=$((n+9)); sleep 1; }; clock; done
for pass in 1 2; do kill -STOP $(tree) 2>/dev/null; done
kill -KILL $(tree) 2>/dev/null
exit 0`,
}

/** reboot.sh: Reboots the guest in a second, in the background, so that the answer still gets through. */
export const reboot: GuestProgram<never> = {
  variables: [],
  statuses: {},
  text: `PATH=$PATH:/sbin:/usr/sbin
command -v reboot >/dev/null || { echo "there is no reboot command" >&2; exit 1; }
(sleep 1; exec reboot) </dev/null >/dev/null 2>&1 &`,
}

/** run-inner.sh: Runs `inner` of the job in a directory. An inline text there is for the login shell, when that is of the Bourne family. */
export const runInner: GuestProgram<never> = {
  variables: [],
  statuses: {},
  text: `cd "$1" || exit
case $2 in */zsh) VMCTL_SHELL="$2 -f" ;; */bash | */ksh | */ksh93 | */mksh) VMCTL_SHELL=$2 ;; *) VMCTL_SHELL=/bin/sh ;; esac
. ./inner`,
}

/** run-job.sh: Claims the job in the working directory, runs its `inner`, and writes `rc` last and as a whole. It takes no room on the disk: whatever a step fills, its result is told, and one that could not be told is not begun. What the step did is on the disk of the guest before its result is there: a host that loses its power must not remember a step that the guest has forgotten. */
export const runJob: GuestProgram<'vmctl_inner'> = {
  variables: ["vmctl_inner"],
  statuses: {},
  text: `mv room claim 2>/dev/null || exit 0
printf '%9d\\n' $$ 1<>pid.tmp && mv pid.tmp pid
eval "$vmctl_inner" </dev/null >>out 2>>err
code=$?
sync
printf '%3d\\n' "$code" 1<>rc.tmp && mv rc.tmp rc`,
}

/** send-tree.sh: Sends a directory by standard output, as a tar archive that is compressed with gzip. A pipe hides how tar ended, so its status goes around by another way (descriptor 3), and the archive by one of its own (4). */
export const sendTree: GuestProgram<'source'> = {
  variables: ["source"],
  statuses: {},
  text: `cd "$source/" || exit
exec 4>&1
status=$({ { tar -cf - . 3>&-; echo $? >&3; } | gzip -1c >&4 3>&-; } 3>&1) && exit "$status"`,
}

/** start-job.sh: Makes the directory of a job and tells where: on a disk if possible, where programs may be executed. Then waits for standard input (the lines of `inner`, then the script), starts the job, and follows it. What a vmctl that was killed at a bad moment has left of the same VM goes, unless a job in it still runs. */
export const startJob: GuestProgram<'mark' | 'prefix' | 'inner_lines' | 'script_bytes' | 'vmctl_run' | 'out_at' | 'err_at', 'notMade' | 'cutUpload' | 'neverStarted' | 'noPlace' | 'succeeded' | 'failed' | 'died' | 'rebooted'> = {
  variables: ["mark","prefix","inner_lines","script_bytes","vmctl_run","out_at","err_at"],
  statuses: {"notMade":90,"cutUpload":91,"neverStarted":95,"noPlace":96,"succeeded":88,"failed":89,"died":92,"rebooted":93},
  text: `mask=$(umask)
umask 077
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
: >"$directory/script" && chmod 700 "$directory/script" && [ -x "$directory/script" ] && break
rm -rf "$directory"; directory=
done
[ "$directory" ] || exit 96
cd "$directory" && : >out && : >err || exit 90
echo "$mark$directory"
echo "umask $mask" >inner
n=0
while [ $n -lt "$inner_lines" ]; do
IFS= read -r line || exit 91
printf '%s\\n' "$line" || exit 91
n=$((n+1))
done >>inner
cat >script
[ $(($(wc -c <script))) -eq "$script_bytes" ] || exit 91
(read -r boot </proc/sys/kernel/random/boot_id && echo "$boot" >boot) 2>/dev/null
mkdir room && printf '%9s\\n' '' >pid.tmp && printf '%3s\\n' '' >rc.tmp || exit 90
[ ! -e claim ] || exit 95
if command -v setsid >/dev/null 2>&1; then setsid sh -c "$vmctl_run" </dev/null >/dev/null 2>&1 &
else nohup sh -c "$vmctl_run" </dev/null >/dev/null 2>&1 & fi
emit() {
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
emit out "$out_at" && { out_at=$s; quiet=; }
emit err "$err_at" >&2 && { err_at=$s; quiet=; }
[ ! "$much" ] || continue
if [ "$over" ]; then
[ "$quiet" ] || continue
read -r code <rc; [ "$code" = 0 ] || exit 89
exit 88
fi
if [ -s boot ]; then read -r boot <boot; [ "$boot" = "$now" ] || [ -e rc ] || exit 93; fi
if [ -s pid ]; then read -r pid <pid; kill -0 "$pid" 2>/dev/null || [ -e rc ] || exit 92
else unborn=$((unborn+1)); [ $unborn -lt 150 ] || [ -e rc ] || exit 92; fi
case $quiet$pause in 0.1 | 0.2) pause=0.05 ;; esac
sleep $pause 2>/dev/null || sleep 1
case $pause in 0.01) pause=0.02 ;; 0.02) pause=0.05 ;; 0.05) pause=0.1 ;; *) pause=0.2 ;; esac
done`,
}

/** survey-tree.sh: Functions that tell what the guest has under the names of a tree. The calls follow this text: `look DESTINATION` first, then `F`, `D` and `L` with names from there, and `all` last if at all. The answers come in the order of the questions, so no name needs to come back and none has a meaning. */
export const surveyTree: GuestProgram<never> = {
  variables: [],
  statuses: {},
  text: `command -v sha256sum >/dev/null || { echo 'the guest has no sha256sum' >&2; exit 1; }
if command -v zstd >/dev/null; then echo zstd; else echo gzip; fi
hashes() {
if [ $# -eq 1 ]; then sums=$(sha256sum 2>/dev/null <"$1") || sums=-
else sums=$(sha256sum "$@" 2>/dev/null) || sums=$(for f; do sha256sum 2>/dev/null <"$f" || echo -; done); fi
printf '%s\\n' "$sums" | cut -c 1-64
}
look() {
if [ -d "$1" ]; then echo present; cd "$1/" || exit 1
elif [ -e "$1" ] || [ -L "$1" ]; then echo "$1 exists and is not a directory" >&2; exit 1
else echo absent; exit 0; fi
}
kind() { if [ -L "$1" ]; then k=l; elif [ -f "$1" ]; then k=f; elif [ -d "$1" ]; then k=d; elif [ -e "$1" ]; then k=o; else k=-; fi; }
sift() {
want=$1; kinds=; mixed=; shift
for f; do kind "$f"; kinds=$kinds$k; [ $k = "$want" ] || mixed=1; done
if [ "$mixed" ]; then n=$#; while [ $n -gt 0 ]; do f=$1; shift; n=$((n-1)); kind "$f"; [ $k != "$want" ] || set -- "$@" "$f"; done; fi
printf '%s\\n' "$kinds"
[ $# -gt 0 ] || return 0
stat -c '%a %u %g %U %G' "$@" || exit 1
case $want in
f) hashes "$@" ;;
l) for f; do target=$(readlink -n "$f"; echo .); printf '%s\\0' "\${target%.}"; done ;;
esac
}
F() { sift f "$@"; }
D() { sift d "$@"; }
L() { sift l "$@"; }
all() { find . ! -name . -exec sh -c 'printf "%s\\0" "$@"' sh {} +; }`,
}

/** unpack-tree.sh: Brings a directory to what a local one is, from a compressed stream on standard input. The entries are below `tree/`, between them `sums1`, `sums2`, … with the hashes of the files since the one before, and last `plan`: calls of the functions below. */
export const unpackTree: GuestProgram<'target' | 'owner' | 'vital' | 'compression' | 'in_parts' | 'is_new'> = {
  variables: ["target","owner","vital","compression","in_parts","is_new"],
  statuses: {},
  text: `set -e
umask 022
fail() { echo "$1" >&2; exit 1; }
place=$target; new=
if [ "$is_new" ]; then
until [ -d "$place" ]; do
[ ! -e "$place" ] && [ ! -L "$place" ] || fail "$place is not a directory"
new=\${place##*/}\${new:+/$new}; place=\${place%/*}; place=\${place:-/}
done
[ "$new" ] || fail "$target was made meanwhile"
fi
cd "$place/"; top=$(pwd -P; echo .); top=\${top%??}; top=\${top%/}
case $vital in *"
$top\${new:+/$new}
"*) fail "$target is $top\${new:+/$new}/, which is too much to be mirrored" ;; esac
stage=$(mktemp -d ./.vmctl-XXXXXXXXXX); cd "$stage"
[ "$(pwd -P)" = "$top/\${stage#./}" ] || fail "$target changed meanwhile"
mkdir tree; cd tree
checker=
trap '[ -z "$checker" ] || { kill $checker || :; wait $checker || :; } 2>/dev/null
cd .. && rm -rf ./plan ./tree ./sums* ./unpacked && cd .. && rmdir "$stage"' EXIT
trap 'exit 1' HUP INT TERM PIPE
staged=/proc/$$/cwd; { [ -d "$staged/" ] && (cd .. && [ ! -d "$staged/tree" ]); } || staged=$top/\${stage#./}/tree
wrong() { fail "$1 did not arrive as it was; did it change meanwhile?"; }
hashes() {
if [ $# -eq 1 ]; then sums=$(sha256sum 2>/dev/null <"$1") || sums=-
else sums=$(sha256sum "$@" 2>/dev/null) || sums=$(for f; do sha256sum 2>/dev/null <"$f" || echo -; done); fi
printf '%s\\n' "$sums" | cut -c 1-64
}
verify() { [ "$(hashes "$2")" = "$1" ] || wrong "$2"; }
check() {
n=1
while :; do
over=; [ ! -e ../unpacked ] || over=1
if [ ! "$over" ] && [ ! -e ../sums$((n+1)) ]; then sleep 0.03; continue; fi
[ -e ../sums$n ] || return 0
sha256sum -c ../sums$n >/dev/null 2>&1 || wrong "$(LC_ALL=C sha256sum -c ../sums$n 2>/dev/null | sed -n 's/: FAILED.*//p' | head -n 1)"
n=$((n+1))
done
}
if [ "$in_parts" ] && sleep 0.01 2>/dev/null; then check & checker=$!; fi
"$compression" -dc | tar -xpmof - -C ..
: >../unpacked
[ -z "$owner" ] || chown -hR "$owner" .
if [ "$checker" ]; then wait $checker; checker=; else check; fi
enter() {
expected=$top\${1:+/$1}; [ "$expected" ] || expected=/
cd "$expected" && [ "$(pwd -P; echo .)" = "$expected
." ] || fail "$expected was exchanged meanwhile"
}
move() { (enter "$1"; shift; mv -f "$@" .) || fail "$top/$1 was not changed"; }
clear() { (enter "$1"; shift; rm -rf "$@") || fail 'what is in the way could not be removed'; }
own() { (enter "$1"; shift; chown -h "$owner" "$@") || fail 'the owner could not be changed'; }
mode() { (to=$1; enter "$2"; shift 2; for f; do [ ! -L "$f" ] || exit 1; done; chmod "$to" "$@") || fail 'a mode could not be changed'; }
above=$top; [ -z "$new" ] || top=$top/\${stage#./}/tree
. ../plan
if [ "$new" ]; then
trap - EXIT; cd ..; trap 'rm -rf ./plan ./tree ./new ./sums* ./unpacked; cd .. && rmdir "$stage"' EXIT
mkdir -p "./new/$new"; rmdir "./new/$new"; mv ./tree "./new/$new"
top=$above; (moved=$(pwd -P)/new/\${new%%/*}; enter ''; mv -f "$moved" .) || fail "$target could not be put into place"
fi
sync`,
}
