#!/bin/sh
# Makes a disk image of a Debian from its packages, as root or as any user who has subordinate ids.
#
#   build.sh WORKDIR             writes WORKDIR/disk.raw and WORKDIR/packages
#   build.sh --remove WORKDIR    removes what a build has left, which may belong to subordinate ids
#
# What is built is told by the environment:
#   SUITE             code name of the Debian
#   SIZE              of the disk in bytes
#   PACKAGES          that it gets besides, separated by spaces
#   MIRROR            where its packages come from; where the apt of this machine gets them when empty
#   SECURITY_MIRROR   the same of the security updates
#   PROFILE           a file that is sourced, and makes something else of it than profile.sh does
#   LOG               a file that gets standard error
#   SOURCE_DATE_EPOCH seconds: ids are made from it, and no file of the image is younger
#
# Standard output says what is done, a line each; all else goes to standard error. Nothing outside of WORKDIR is written. Everything
# runs in namespaces of its own and ends with this process, however that ends.
#
# status: 3 the disk is too small; 4 no namespace can be made
#
# shellcheck disable=SC2154 # set by the profile
set -eu
umask 022

if [ "$(id -u)" = 0 ]; then map=; else map='--map-root-user --map-auto'; fi
if [ "$1" = --remove ]; then
  rm -rf --one-file-system "$2" 2>/dev/null && exit
  # shellcheck disable=SC2086 # words
  exec unshare $map rm -rf --one-file-system "$2"
fi
[ -z "${LOG-}" ] || exec 2>>"$LOG"
work=$(cd "$1" && pwd)
export work
here=$(cd "$(dirname "$0")" && pwd)
if [ "${2-}" != inside ]; then
  # shellcheck disable=SC2086 # words
  unshare $map --mount --pid --fork true || exit 4
  # shellcheck disable=SC2086 # words
  exec setpriv --pdeathsig KILL unshare $map --mount --pid --fork --kill-child sh "$0" "$work" inside
fi
cd "$work"
exec 3>&1 1>&2
: "${SUITE?}" "${SIZE?}" "${PACKAGES=}" "${MIRROR=}" "${SECURITY_MIRROR=}"
export LC_ALL=C.UTF-8
unset TMPDIR
. "$here/disk.sh"
. "$here/sources.sh"

say() { echo "$*" >&3; }

# new_id NAME: a UUID; always the same one for the same SOURCE_DATE_EPOCH
new_id() {
  if [ -z "${SOURCE_DATE_EPOCH-}" ]; then
    cat /proc/sys/kernel/random/uuid
  else
    echo "$SUITE $SOURCE_DATE_EPOCH $1" | sha256sum | sed 's/^\(.\{8\}\)\(.\{4\}\)\(.\{3\}\)\(.\{3\}\)\(.\{12\}\).*/\1-\2-4\3-8\4-\5/'
  fi
}

# install_packages [OPTION...]: the system in the directory root; options are mmdebstrap's
install_packages() {
  debian_sources "$SUITE" "$MIRROR" "$SECURITY_MIRROR" >sources
  mkdir -p root
  # shellcheck disable=SC2046 # words
  mmdebstrap --mode=root --format=directory --variant=minbase --architectures=amd64 --dpkgopt=force-unsafe-io \
    $(for package in $packages $PACKAGES; do echo "--include=$package"; done) \
    --setup-hook="echo 'downloading the base system' >&3" \
    --extract-hook="echo 'configuring the base system' >&3" \
    --essential-hook="echo 'installing packages' >&3" \
    "$@" "$SUITE" root - <sources
}

# forget_machine: what this machine told the build, and what must differ between guests
forget_machine() {
  rm -rf root/dev/* root/etc/ssh/ssh_host_* root/var/lib/dbus/machine-id root/etc/hostname root/etc/resolv.conf \
    root/etc/dpkg/dpkg.cfg.d/99mmdebstrap root/etc/apt/apt.conf.d/99mmdebstrap root/var/lib/apt/lists/* root/var/cache/apt/*.bin \
    root/var/log/*.log root/var/log/apt root/var/lib/systemd/random-seed
  : >root/etc/machine-id
  printf '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n' >root/etc/hosts
}

# make_root DISK SECTOR SECTORS [OPTION...]: the root file system at its place in the disk; options are mke2fs's
make_root() {
  disk=$1 at=$2 kib=$(($3 / 2))
  shift 3
  # A file system needs some of the room for itself.
  need=$(($(du -sk root | cut -f 1) * 107 / 100 + 32768))
  if [ "$need" -gt "$kib" ]; then
    echo "the disk is too small: the system takes $((need / 1024)) MiB, and $((kib / 1024)) MiB are left for it" >&2
    exit 3
  fi
  if [ -n "${SOURCE_DATE_EPOCH-}" ]; then find root -newermt "@$SOURCE_DATE_EPOCH" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +; fi
  # The features are those that the guest's own tools, and its GRUB, know.
  [ ! -e root/etc/mke2fs.conf ] || export MKE2FS_CONFIG="$PWD/root/etc/mke2fs.conf"
  mke2fs -q -F -t ext4 -L root -E "offset=$((at * 512)),lazy_itable_init=0,root_owner=0:0" "$@" -d root "$disk" "${kib}k"
}

# ---- What is built: profile.sh, or a profile of its own. It sets $packages, and gives install_system, customize and make_disk.

# shellcheck source=src/image/build/profile.sh
. "${PROFILE:-$here/profile.sh}"

say "preparing"
install_system
say "configuring the image"
# shellcheck disable=SC2016 # for dpkg-query
chroot root dpkg-query -W -f '${Package}:${Architecture}\t${Version}\n' >packages
customize
say "writing the disk"
make_disk "$SIZE"
rm -rf root
