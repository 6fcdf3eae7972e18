# Functions for what of the host's is in the guest's tree: a part of the setup. The calls of `volume` and `share` gather a table for
# /etc/fstab, for a reboot of the guest's own.

table=
# escape PATH: prints it as fstab(5) and mountinfo write it.
escape() { printf %s "$1" | sed 's/\\/\\134/g; s/ /\\040/g; s/\t/\\011/g'; }
# place DIRECTORY: sets $target to where it really is, and $point to that as mountinfo has it.
place() { target=$(cd "$1" && pwd -P) && point=$(escape "$target"); }
# mounted WHAT [ROOT]: is WHAT, a device number or a source, what is seen at $target, or ROOT of it?
mounted() {
  what=$1 root=${2:-/} point=$point awk '
    $5 == ENVIRON["point"] { at = 7; while ($at != "-") at++; number = $3; root = $4; source = $(at + 2) }
    END { exit !((number == ENVIRON["what"] || source == ENVIRON["what"]) && root == ENVIRON["root"]) }' /proc/self/mountinfo
}
# entry WHAT TYPE OPTIONS PASS: a line of fstab that puts it at $target.
entry() {
  table="$table${table:+
}$1 $point $2 $3,nofail 0 $4"
}
