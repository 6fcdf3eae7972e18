# Brings a guest to what its stack gives it, as root: this file, those of the mounts when there are some, then calls of their
# functions, the last one `finish`. It may be run at any time and as often as one likes, and takes back what an earlier setup had
# and this one has not.
#
# The seed runs it early in the first boot with the argument `boot`, before packages are installed on what it mounts. The seed
# cannot change later, so at other boots it steps back for the one that comes over SSH.
#
# arguments: boot, or none
# output: a line on standard error for each problem (`vmctl-setup: …`), and for what should be known (`vmctl-setup: note: …`)
# status: 1 when there was a problem
occasion=${1-}
[ "$occasion" = boot ] && [ -e /var/lib/vmctl/setup ] && exit 0
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
umask 022
failed=0
problem() { printf 'vmctl-setup: %s\n' "$1" >&2; failed=1; }
note() { printf 'vmctl-setup: note: %s\n' "$1" >&2; }
# managed FILE TEXT: what lies between our marks in FILE becomes TEXT; the rest of FILE stays.
managed() {
  block=$2
  [ -n "$block" ] || grep -q '^# vmctl begin$' "$1" 2>/dev/null || return 0
  new=$1.vmctl-new
  cp -p "$1" "$new" 2>/dev/null
  {
    [ ! -e "$1" ] || awk '
      /^# vmctl begin$/ { if (inside) printf "%s", held; inside = 1; held = "" }
      inside { held = held $0 "\n" }
      !inside { print }
      /^# vmctl end$/ { inside = 0; held = "" }
      END { if (inside) printf "%s", held }' "$1"
    [ -z "$block" ] || printf '# vmctl begin\n%s\n# vmctl end\n' "$block"
  } >"$new" && { cmp -s "$new" "$1" && rm -f "$new" || mv -f "$new" "$1"; } || problem "cannot write $1"
}
# address MAC ADDRESS/PREFIX: on networks. At the first boot the seed's network configuration gives them; this checks it, and gives
# one that came later or that the guest's own tools have left out.
address() {
  [ "$occasion" != boot ] || return 0
  for link in /sys/class/net/*; do
    [ "$(cat "$link/address" 2>/dev/null)" = "$1" ] || continue
    link=${link##*/}
    case $(ip -4 addr show dev "$link") in *"inet $2 "*) return ;; esac
    ip link set dev "$link" up && ip addr add "$2" dev "$link" || problem "cannot give the address $2 to $link"
    return
  done
  problem "no network interface has the MAC address $1; restart the VM to give it one"
}
finish() {
  mkdir -p /var/lib/vmctl && : >/var/lib/vmctl/setup
  exit "$failed"
}
