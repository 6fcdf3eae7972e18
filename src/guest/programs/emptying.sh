# Functions for programs that take things away from a system, in its directory: they leave the file systems and the owners and modes of
# files as they are. `$who` is named in what is said; `$failed` is 1 once something is left.
# shellcheck disable=SC2034,SC2154 # shared with the program that includes it
failed=0
problem() { printf '%s: %s\n' "$who" "$1" >&2; failed=1; }
gone() { rm -rf "$@" || problem "not all of $1 could be removed"; }
# blank FILES: they stay, empty, with their owner and mode.
blank() { for file; do [ ! -f "$file" ] || [ -L "$file" ] || true >"$file" || problem "$file could not be emptied"; done; }
# shellcheck disable=SC2016 # for the shell that find starts
hollow='for file; do true >"$file"; done'
# emptied DIRECTORIES: nothing stays below them.
emptied() {
  for directory; do
    [ -d "$directory" ] && [ ! -L "$directory" ] || continue
    find "$directory" -xdev -type f -exec sh -c "$hollow" sh {} +
    gone "$directory"/* "$directory"/.[!.]* "$directory"/..?*
  done
}
# edit FILE PROGRAM: changes it by sed, in place, so that its owner and mode stay.
edit() {
  [ -f "$1" ] || return 0
  edited=$(sed "$2" "$1"; echo .) && printf %s "${edited%.}" >"$1" || problem "$1 could not be changed"
}
