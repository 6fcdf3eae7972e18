# Functions that tell what the guest has under the names of a tree. The calls follow this text: `look DESTINATION` first, then `F`,
# `D` and `L` with names from there, and `all` last if at all. The answers come in the order of the questions, so no name needs to
# come back and none has a meaning.
#
# output: `zstd` or `gzip`, what the guest can unpack; `present` or `absent`, with which it ends; then for each call
#   a letter for each name: f file, d directory, l link, o other, - nothing
#   `MODE UID GID USER GROUP` for each name that is of the kind that was asked for
#   for each of those that are files its sha256, or `-` when it cannot be read; for each link its target and NUL
# status: 1 with the reason on standard error
command -v sha256sum >/dev/null || { echo 'the guest has no sha256sum' >&2; exit 1; }
if command -v zstd >/dev/null; then echo zstd; else echo gzip; fi
. ./hashes.sh
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
  printf '%s\n' "$kinds"
  [ $# -gt 0 ] || return 0
  stat -c '%a %u %g %U %G' "$@" || exit 1
  case $want in
    f) hashes "$@" ;;
    l) for f; do target=$(readlink -n "$f"; echo .); printf '%s\0' "${target%.}"; done ;;
  esac
}
F() { sift f "$@"; }
D() { sift d "$@"; }
L() { sift l "$@"; }
# Every name from there on, each with NUL behind it, which no name contains.
all() { find . ! -name . -exec sh -c 'printf "%s\0" "$@"' sh {} +; }
