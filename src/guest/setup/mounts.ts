import {type GuestShare, shareCall, shareFunctions} from './shares.ts'
import {type GuestVolume, volumeCall, volumeFunctions} from './volumes.ts'

/** Something of the host's in the guest's tree. */
export type GuestMount = GuestVolume | GuestShare

/** Volumes and shares: mounted in the order in which they are given, checked, and in /etc/fstab for a reboot of the guest's own. */
export const mountsSection = (mounts: readonly GuestMount[]): string => {
  const kinds = new Set(mounts.map(({kind}) => kind))
  return [
    ...(mounts.length > 0 ? [functions] : []),
    ...(kinds.has('volume') ? [volumeFunctions] : []),
    ...(kinds.has('share') ? [shareFunctions] : []),
    'table=',
    ...mounts.map((mount) => (mount.kind === 'volume' ? volumeCall(mount) : shareCall(mount))),
    'managed /etc/fstab "$table"',
  ].join('\n')
}

const functions = String.raw`# escape PATH: prints it as fstab(5) and mountinfo write it.
escape() { printf %s "$1" | sed 's/\\/\\134/g; s/ /\\040/g; s/\t/\\011/g'; }
# place DIRECTORY: sets $target to where it really is, and $point to that as mountinfo has it.
place() { target=$(cd "$1" && pwd -P) && point=$(escape "$target"); }
# mounted WHAT [ROOT]: is WHAT, a device number or a source, what is seen at $target, or ROOT of it?
mounted() {
  what=$1 root=\${2:-/} point=$point awk '
    $5 == ENVIRON["point"] { at = 7; while ($at != "-") at++; number = $3; root = $4; source = $(at + 2) }
    END { exit !((number == ENVIRON["what"] || source == ENVIRON["what"]) && root == ENVIRON["root"]) }' /proc/self/mountinfo
}
# entry WHAT TYPE OPTIONS PASS: a line of fstab that puts it at $target.
entry() {
  table="$table\${table:+
}$1 $point $2 $3,nofail 0 $4"
}`.replaceAll(String.raw`\$`, '$')
