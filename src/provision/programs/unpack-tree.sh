# Brings a directory to what a local one is, from a compressed stream on standard input. The entries are below `tree/`, between them
# `sums1`, `sums2`, … with the hashes of the files since the one before, and last `plan`: calls of the functions below.
#
# Whoever may write to the destination in the guest may exchange what is there at any moment, also while root works on it. So what
# is unpacked lies in a private directory, which is entered once and then named by `.` and `..` only; and a directory of the
# destination is entered, then compared with where it ought to be, and then worked in by plain names.
#
# A destination that is new appears as a whole, with the directories above it that are missing: one rename in the lowest that exists.
# Until then nothing has its name, however this ends.
#
# status: not 0 with the reason on standard error
: "${target?the directory}"
: "${owner?as chown takes it, or empty}"
: "${vital?directories that must not be mirrored, each between line breaks; empty when nothing is}"
: "${compression?zstd or gzip}"
: "${in_parts?whether files are compared with their hashes while more arrive}"
: "${is_new?whether the directory does not exist}"

set -e
umask 022
fail() { echo "$1" >&2; exit 1; }
place=$target; new=
if [ "$is_new" ]; then
  until [ -d "$place" ]; do
    [ ! -e "$place" ] && [ ! -L "$place" ] || fail "$place is not a directory"
    new=${place##*/}${new:+/$new}; place=${place%/*}; place=${place:-/}
  done
  [ "$new" ] || fail "$target was made meanwhile"
fi
cd "$place/"; top=$(pwd -P; echo .); top=${top%??}; top=${top%/}
case $vital in *"
$top${new:+/$new}
"*) fail "$target is $top${new:+/$new}/, which is too much to be mirrored" ;; esac
stage=$(mktemp -d ./.vmctl-XXXXXXXXXX); cd "$stage"
[ "$(pwd -P)" = "$top/${stage#./}" ] || fail "$target changed meanwhile"
mkdir tree; cd tree
checker=
trap '[ -z "$checker" ] || { kill $checker || :; wait $checker || :; } 2>/dev/null
cd .. && rm -rf ./plan ./tree ./sums* ./unpacked && cd .. && rmdir "$stage"' EXIT
trap 'exit 1' HUP INT TERM PIPE
# This shell's own place, by a name that cannot be exchanged where the system has one. For ksh93, which makes no process of a
# subshell, it is the place where that has gone.
staged=/proc/$$/cwd; { [ -d "$staged/" ] && (cd .. && [ ! -d "$staged/tree" ]); } || staged=$top/${stage#./}/tree
wrong() { fail "$1 did not arrive as it was; did it change meanwhile?"; }
. ./hashes.sh
verify() { [ "$(hashes "$2")" = "$1" ] || wrong "$2"; }
# Files come in their order: those of a list are whole when the next list, or the end, is there.
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
  expected=$top${1:+/$1}; [ "$expected" ] || expected=/
  cd "$expected" && [ "$(pwd -P; echo .)" = "$expected
." ] || fail "$expected was exchanged meanwhile"
}
move() { (enter "$1"; shift; mv -f "$@" .) || fail "$top/$1 was not changed"; }
clear() { (enter "$1"; shift; rm -rf "$@") || fail 'what is in the way could not be removed'; }
own() { (enter "$1"; shift; chown -h "$owner" "$@") || fail 'the owner could not be changed'; }
mode() { (to=$1; enter "$2"; shift 2; for f; do [ ! -L "$f" ] || exit 1; done; chmod "$to" "$@") || fail 'a mode could not be changed'; }
above=$top; [ -z "$new" ] || top=$top/${stage#./}/tree
# shellcheck disable=SC1091 # it comes with the stream
. ../plan
if [ "$new" ]; then
  # This place moves now, and what the trap would remove must not be looked for from there.
  trap - EXIT; cd ..; trap 'rm -rf ./plan ./tree ./new ./sums* ./unpacked; cd .. && rmdir "$stage"' EXIT
  mkdir -p "./new/$new"; rmdir "./new/$new"; mv ./tree "./new/$new"
  top=$above; (moved=$(pwd -P)/new/${new%%/*}; enter ''; mv -f "$moved" .) || fail "$target could not be put into place"
fi
sync
