# Receives one file from standard input. All bytes, owner and mode come together in a private directory beside the destination,
# and only then the rename; it ends in one of two states. Whoever else may write to that place can move the private directory but
# not look or reach into it: it is entered once, and from then on only named by `.` and `..`.
#
# status: 1 with the reason on standard error
: "${destination?path of the file}"
: "${size?bytes that have to arrive}"
: "${mode?permission bits in octal}"
: "${owner?as chown takes it, or empty}"

fail() { echo "$1" >&2; exit 1; }
name=${destination##*/}; parent=${destination%/*}/
[ -n "$name" ] || fail "$destination is not the name of a file"
[ ! -d "$destination" ] || fail "$destination is a directory"
[ -d "$parent" ] || (umask 022; mkdir -p "$parent") || exit 1
umask 077
cd "$parent" || exit 1
here=$(pwd -P; echo .); here=${here%??}
stage=$(mktemp -d ./.vmctl-XXXXXXXXXX) && cd "$stage" || exit 1
trap 'rm -f "./$name"; cd .. && rmdir "$stage" 2>/dev/null' EXIT
trap 'exit 1' HUP INT TERM PIPE
[ "$(pwd -P)" = "${here%/}/${stage#./}" ] || fail "$parent changed meanwhile"
cat >"./$name" || exit 1
count=$(($(wc -c <"./$name")))
[ "$count" -eq "$size" ] || fail "$count of $size bytes arrived"
[ -z "$owner" ] || chown "$owner" "./$name" || exit 1
chmod "$mode" "./$name" || exit 1
mv -f "./$name" .. || exit 1
sync
