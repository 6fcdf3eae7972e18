#!/usr/bin/env bash
# Runs a command in a clone of the committed project on a bare Debian: one that has Node, npm, git, certificates, sudo and
# procps, and nothing else. It shows the install steps that a machine in use hides.
#
#   sudo scripts/bare-machine.sh [OPTION...] COMMAND [ARGUMENT...]
#   sudo scripts/bare-machine.sh [OPTION...] --prepare     makes sure that it can be done, or says why not
#
#   --suite NAME   the Debian: bookworm (12) or trixie (13); bookworm when not given
#   --user NAME    as an ordinary user who may use sudo, instead of root
#   --kvm          with /dev/kvm, where this machine has it
#   --keep         leaves the root behind, and says where
#
# It has processes, mounts and devices of its own, and this machine's network. All of them end with this script, however that
# ends. The root is made by mmdebstrap once a week for each suite, kept in ~/.cache/vmctl-bare ($VMCTL_BARE), and unpacked anew
# for each run. Packages are installed in it as on any new machine: nothing that was installed earlier is in it.
set -euo pipefail
cd "$(dirname "$0")/.."

suite=bookworm user=root kvm='' keep='' prepare=''
while :; do
  case ${1-} in
    --suite) suite=$2; shift 2 ;;
    --user) user=$2; shift 2 ;;
    --kvm) kvm=kvm; shift ;;
    --keep) keep=1; shift ;;
    --prepare) prepare=1; shift ;;
    -*) echo "bare-machine: unknown option $1" >&2; exit 2 ;;
    *) break ;;
  esac
done
[ -n "$prepare" ] || [ $# -gt 0 ] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2; }

say() { printf 'bare-machine: %s\n' "$*" >&2; }
cannot() { say "no bare machine can be made here: $*"; exit 69; }

cache=${VMCTL_BARE:-${XDG_CACHE_HOME:-$HOME/.cache}/vmctl-bare}
base=$cache/$suite.tar

# ---- What it takes

[ "$(uname -s)" = Linux ] || cannot 'this is not Linux'
[ "$(id -u)" = 0 ] || cannot 'it takes root (sudo)'
mkdir -p "$cache"
if ! command -v mmdebstrap >/dev/null; then
  command -v apt-get >/dev/null || cannot 'mmdebstrap is not installed'
  say 'installing mmdebstrap with apt-get'
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
    mmdebstrap debian-archive-keyring; } >"$cache/apt.log" 2>&1 </dev/null ||
    cannot "mmdebstrap could not be installed: $(tail -n 3 "$cache/apt.log")"
fi
why=$(unshare --mount --pid --fork --kill-child sh -c 'mount --make-rprivate / && mount -t tmpfs tmpfs /mnt && mount -t proc proc /proc' 2>&1) ||
  cannot "namespaces or mounts are refused: $why"

# shellcheck source=src/image/build/sources.sh
. src/image/build/sources.sh

# One build at a time; a base that is a week old is made anew, so that its packages are those of today.
exec 8>"$cache/.lock-$suite"
flock 8
if [ -z "$(find "$base" -mtime -7 2>/dev/null)" ]; then
  say "making a root of Debian $suite"
  host_sources "$suite" >"$cache/.sources-$suite"
  sources=()
  [ ! -s "$cache/.sources-$suite" ] || sources=("$cache/.sources-$suite")
  # Where apt's own user can read it, and without what a killed build left.
  rm -rf --one-file-system "/tmp/vmctl-bare-$suite"
  mkdir -m 755 "/tmp/vmctl-bare-$suite"
  if TMPDIR=/tmp/vmctl-bare-$suite setpriv --pdeathsig TERM mmdebstrap --quiet --variant=minbase --include=nodejs,npm,git,ca-certificates,sudo,procps \
    "$suite" "$cache/.new-$suite.tar" "${sources[@]}" 2>"$cache/mmdebstrap.log"; then
    mv "$cache/.new-$suite.tar" "$base"
  elif [ -s "$base" ]; then
    say "an older one is used, because that failed: $(tail -n 3 "$cache/mmdebstrap.log")"
  else
    cannot "mmdebstrap failed: $(tail -n 3 "$cache/mmdebstrap.log")"
  fi
  rm -rf --one-file-system "/tmp/vmctl-bare-$suite"
fi
exec 8>&-
[ -z "$prepare" ] || exit 0

# ---- The root. Its lock is held as long as anything runs in it; roots without a holder are those of killed runs.

for old in "$cache"/run-*.lock; do
  [ -e "$old" ] || continue
  # shellcheck disable=SC2094 # a lock: nothing is read or written
  (flock -n 7 && rm -rf --one-file-system "${old%.lock}" "$old") 7>"$old" || :
done
lock=$(mktemp "$cache/run-XXXXXX.lock")
root=${lock%.lock}
exec 9>"$lock"
flock 9
child=
tidy() {
  trap '' INT TERM HUP
  if [ -n "$child" ]; then
    kill -KILL "$child" 2>/dev/null || :
    wait "$child" 2>/dev/null || :
  fi
  if [ -n "$keep" ]; then
    say "kept: $root"
  else
    # What was killed just now may still write.
    for _ in 1 2 3 4 5; do rm -rf --one-file-system "$root" 2>/dev/null && break || sleep 1; done
  fi
  rm -f "$lock"
}
trap tidy EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

mkdir "$root"
tar -xpf "$base" -C "$root" --numeric-owner --exclude='./dev/*'

# What belongs to the machine and not to the system on it: its name, its certificates, and how it reaches registries.
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
cat /proc/sys/kernel/hostname >"$root/etc/hostname"
cp -rL /etc/ssl/certs/. "$root/etc/ssl/certs/" 2>/dev/null || :
for conf in /etc/apt/apt.conf /etc/apt/apt.conf.d/*; do
  # Hooks and cleaning are matters of the system; the way to the mirror is not.
  if [ -f "$conf" ] && grep -q '^ *Acquire' "$conf" && ! grep -q 'Post-Invoke' "$conf"; then cp "$conf" "$root/etc/apt/apt.conf.d/"; fi
done
cp -r /etc/apt/auth.conf.d/. "$root/etc/apt/auth.conf.d/" 2>/dev/null || :

home=/root
if [ "$user" != root ]; then
  home=/home/$user
  chroot "$root" useradd -m -s /bin/bash "$user"
  echo "$user ALL=(ALL) NOPASSWD: ALL" >"$root/etc/sudoers.d/$user"
fi
(umask 077 && for file in "$HOME/.npmrc" "$(cd / && npm config get globalconfig 2>/dev/null || :)"; do
  [ ! -f "$file" ] || grep -E '^(//|@[^=]*:registry|registry|ca|cafile|proxy|https?-proxy|noproxy|strict-ssl|replace-registry-host) *' "$file" || :
done >"$root$home/.npmrc")
environment=()
for name in CI {http,https,no,all}_proxy {HTTP,HTTPS,NO,ALL}_PROXY npm_config_{registry,cafile} \
  NODE_EXTRA_CA_CERTS SSL_CERT_FILE VMCTL_ACCEL VMCTL_E2E_GUESTS; do
  [ -z "${!name-}" ] || environment+=("$name=${!name}")
done
for file in "${NODE_EXTRA_CA_CERTS-}" "${SSL_CERT_FILE-}" "${npm_config_cafile-}" "$(sed -n 's/^cafile *= *//p' "$root$home/.npmrc")"; do
  [ ! -f "$file" ] || [ -e "$root$file" ] || install -D -m 644 "$file" "$root$file"
done

git clone -q . "$root$home/vmctl"
[ "$user" = root ] || chroot "$root" chown -R "$user:" "$home"

# ---- The run

# enter ROOT USER HOME KVM ENVIRONMENT... -- COMMAND...: the first process of the machine. It stays, since somebody has to
# reap the processes whose parents have ended, and they go when it goes.
enter() {
  local root=$1 user=$2 home=$3 kvm=$4 device path=/usr/local/bin:/usr/bin:/bin environment=()
  shift 4
  while [ "$1" != -- ]; do
    environment+=("$1")
    shift
  done
  shift
  mount --make-rprivate /
  mount --bind "$root" "$root"
  cd "$root"
  mount -t proc proc proc
  mount --rbind /sys sys
  mount -t tmpfs -o mode=755 dev dev
  mkdir dev/pts dev/shm dev/net
  mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts dev/pts
  mount -t tmpfs -o mode=1777 shm dev/shm
  for device in null zero full random urandom tty net/tun $kvm; do
    [ -e "/dev/$device" ] || continue
    touch "dev/$device"
    mount --bind "/dev/$device" "dev/$device"
  done
  ln -s pts/ptmx dev/ptmx
  ln -s /proc/self/fd dev/fd
  ln -s fd/0 dev/stdin
  ln -s fd/1 dev/stdout
  ln -s fd/2 dev/stderr
  # Not chroot, in which the kernel refuses user namespaces.
  pivot_root . mnt
  umount -l /mnt
  [ "$user" != root ] || path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  env -i PATH="$path" LANG=C.UTF-8 SHELL=/bin/bash HOME="$home" USER="$user" LOGNAME="$user" "${environment[@]}" \
    setpriv --reuid "$user" --regid "$user" --init-groups sh -c 'cd ~/vmctl && exec "$@"' sh "$@" 9>&-
}

# When this script is killed, the kernel ends unshare, and with it all that runs in the root.
setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child \
  bash -euc "$(declare -f enter); enter \"\$@\"" bash "$root" "$user" "$home" "$kvm" "${environment[@]}" -- "$@" </dev/null &
child=$!
status=0
wait "$child" || status=$?
child=
exit "$status"
