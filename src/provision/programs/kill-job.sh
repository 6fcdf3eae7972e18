# Ends a job and what it started: the children of its shell and theirs, and whoever is in a session of one of them, even when its
# parent is gone. SIGTERM, five seconds, SIGKILL. One that was never started is fenced off.
#
# status: 97 noAccess the job belongs to somebody else
# shellcheck disable=SC2086,SC2046,SC2034 # lists of PIDs; passes that are only counted
: "${directory?of the job}"

cd "$directory" 2>/dev/null || { [ -d "$directory" ] && [ ! -x "$directory" ] && exit 97; exit 0; }
[ -e rc ] && exit 0
. ./fence-job.sh
fence && exit 0
[ "$(cat boot 2>/dev/null)" = "$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)" ] || exit 0
[ -s pid ] && read -r top <pid || exit 0
processes() {
  [ -r /proc/self/stat ] || { ps -e -o pid= -o ppid= -o sid= 2>/dev/null; return; }
  for stat in /proc/[0-9]*/stat; do
    IFS= read -r line <"$stat" && set -- ${line##*\) } && echo "${line%% *} $2 $4"
  done 2>/dev/null
}
tree() { processes | awk -v top="$top" '{p[$1]=$2; g[$1]=$3} END {s[top]=1; do {more=0; for (i in p) if (!(i in s) && (p[i] in s || g[i] in s)) {s[i]=1; more=1}} while (more); for (i in s) print i}'; }
all=$(tree)
# Stopped before it is told to end: a shell whose command is ended first would go on with the next one.
for pass in 1 2; do kill -STOP $all 2>/dev/null; all=$(tree); done
kill -TERM $all 2>/dev/null; kill -CONT $all 2>/dev/null
# Five seconds by the clock, where there is one that costs no process: on a slow guest each look takes long.
clock() { { read -r up _ </proc/uptime; } 2>/dev/null && up=${up%%.*} || up=0; }
clock; since=$up
n=0; while [ $n -lt 50 ] && [ $((up - since)) -le 5 ]; do live=; for i in $all; do kill -0 $i 2>/dev/null && live=1; done; [ "$live" ] || break; n=$((n+1)); sleep 0.1 2>/dev/null || { n=$((n+9)); sleep 1; }; clock; done
# Stopped first, and again what was begun meanwhile: a loop whose command is killed would begin the next one before it is killed itself.
for pass in 1 2; do kill -STOP $(tree) 2>/dev/null; done
kill -KILL $(tree) 2>/dev/null
exit 0
