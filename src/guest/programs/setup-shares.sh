# `share`: a folder of the host, found by its tag. Of one file, the directory that stands for it is mounted where nobody else looks,
# and the file is bound to its place. A part of the setup.

modprobe -aq 9p 9pnet_virtio virtiofs 2>/dev/null
# driver TAG: sets $type to the file system of the device with that tag. Only 9p tells its tags on every kernel.
driver() {
  type=virtiofs
  for device in /sys/bus/virtio/drivers/9pnet_virtio/virtio*/mount_tag; do
    [ ! -r "$device" ] || [ "$(tr -d '\000' <"$device")" != "$1" ] || type=9p
  done
  grep -qw "$type" /proc/filesystems
}
# share TAG TARGET FILE OPTIONS-OF-9P OPTIONS-OF-VIRTIOFS
share() {
  driver "$1" || { problem "the share for $2 cannot be mounted: the guest's kernel has neither 9p nor virtiofs for it (Debian's cloud kernel has no 9p, that of linux-image-amd64 has)"; return; }
  [ "$type" = 9p ] && options=$4 || options=$5
  directory=$2
  if [ -n "$3" ]; then
    directory=/var/lib/vmctl/shares/$1
    mkdir -p /var/lib/vmctl/shares && chmod 700 /var/lib/vmctl/shares
  fi
  mkdir -p "$directory" && place "$directory" || { problem "the directory $directory for a share cannot be made"; return; }
  if ! mounted "$1"; then
    said=$(mount -t "$type" -o "$options" "$1" "$target" 2>&1) || { problem "the share for $2 cannot be mounted: $said"; return; }
    mounted "$1" || { problem "the share for $2 is not there, although its mount succeeded"; return; }
  fi
  entry "$1" "$type" "$options" 0
  [ -z "$3" ] || bind "$1" "$2" "$3"
}
# bind TAG TARGET FILE: puts the file of the share at $target into its place.
bind() {
  source=$target/$3 from=$point/$3
  mkdir -p "${2%/*}/" && place "${2%/*}/" && { [ -e "$2" ] || : >"$2"; } && [ -f "$2" ] ||
    { problem "$2 is not a file in whose place a shared one could be"; return; }
  target=${target%/}/${2##*/}
  point=$(escape "$target")
  if ! mounted "$1" "/$3"; then
    said=$(mount -o bind "$source" "$target" 2>&1) || { problem "the shared file cannot be mounted at $2: $said"; return; }
    mounted "$1" "/$3" || { problem "the shared file is not at $2, although its mount succeeded"; return; }
  fi
  entry "$from" none "bind,x-systemd.requires-mounts-for=${from%/*}" 0
}
