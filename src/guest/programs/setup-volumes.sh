# `volume`: a disk of its own is found by its serial, formatted when it was never used, mounted, and grown to the size of the disk.
# fstab has its UUID, for a label can be on two disks. A part of the setup.
# shellcheck disable=SC2154 # `place` of setup-mounts.sh sets target

# disk SERIAL: sets $disk to the disk of that serial and $facts to where the kernel tells of it; waits for it.
disk() {
  tries=0
  until [ $tries -ge 100 ]; do
    for facts in /sys/block/*; do
      [ -r "$facts/serial" ] || continue
      serial=
      read -r serial <"$facts/serial"
      disk=/dev/${facts##*/}
      [ "$serial" = "$1" ] && [ -e "$disk" ] && return
    done
    tries=$((tries + 1))
    sleep 0.2
  done
  return 1
}
# probe: sets $type and $uuid to what is on $disk, and $found to all that is known of it.
probe() {
  type='' uuid=''
  found=$(blkid -p "$disk" 2>/dev/null) || found=$(blkid "$disk" 2>/dev/null)
  case $found in *' TYPE="'*) type=${found#* TYPE=\"} type=${type%%\"*} ;; esac
  case $found in *' UUID="'*) uuid=${found#* UUID=\"} uuid=${uuid%%\"*} ;; esac
}
# zeros SECTOR: are the 2048 sectors of $disk from there on all there, and all zeros?
zeros() {
  [ "$(dd if="$disk" bs=512 skip="$1" count=2048 2>/dev/null | wc -c)" -eq 1048576 ] &&
    [ "$(dd if="$disk" bs=512 skip="$1" count=2048 2>/dev/null | tr -d '\000' | wc -c)" -eq 0 ]
}
# blank SECTORS: was $disk never used? Partition tables, file systems, RAID and encryption have their marks in the first or last MiB.
blank() { [ -z "$found" ] && zeros 0 && zeros $(($1 - 2048)); }
# shorter FILESYSTEM SECTORS: do 4 MiB or more of $disk lie behind its file system? (Less may be too little for ext4 to use.) The
# superblocks say: for ext4 blocks, in two halves, and the logarithm of their size; for xfs the size of a block, and blocks.
shorter() {
  case $1 in ext4) start=1024 ;; *) start=0 ;; esac
  od -An -v -tu1 -j "$start" -N 352 "$disk" | awk -v type="$1" -v sectors="$2" '
    function number(at, step, bytes, value) { for (value = 0; bytes > 0; bytes--) { value = value * 256 + b[at]; at += step }; return value }
    { for (i = 1; i <= NF; i++) b[n++] = $i }
    END {
      if (type == "ext4") for (size = (number(7, -1, 4) + number(339, -1, 4) * 4294967296) * 1024; b[24] > 0; b[24]--) size *= 2
      else size = number(8, 1, 8) * number(4, 1, 4)
      exit !(sectors * 512 - size >= 4194304)
    }'
}
# format FILESYSTEM LABEL
format() {
  command -v "mkfs.$1" >/dev/null || { problem "the volume $name cannot be formatted: the guest has no mkfs.$1"; return 1; }
  # Who was cut off in the middle of it finds this, and begins anew.
  mkdir -p /var/lib/vmctl && : >"$mark" && sync
  said=$("mkfs.$1" -q -L "$2" "$disk" 2>&1 </dev/null) || { problem "the volume $name cannot be formatted: $said"; return 1; }
  sync
}
# volume SERIAL NAME FILESYSTEM LABEL TARGET MODE OPTIONS
volume() {
  name=$2 mark=/var/lib/vmctl/formatting-$1 options=$6${7:+,$7}
  disk "$1" || { problem "the disk of the volume $name is not there"; return; }
  [ "$3" != none ] || return 0
  command -v blkid >/dev/null || { problem "the volume $name cannot be looked at: the guest has no blkid"; return; }
  read -r sectors <"$facts/size"
  read -r number <"$facts/dev"
  probe
  if [ -z "$type" ]; then
    [ "$6" = rw ] || { problem "the volume $name has no file system, and is not formatted while it is read-only"; return; }
    blank "$sectors" || { [ -z "$found" ] && [ -e "$mark" ]; } ||
      { problem "the volume $name holds something that is no file system; it is left alone"; return; }
    format "$3" "$4" || return
    probe
  fi
  rm -f "$mark"
  [ "$type" = "$3" ] || { problem "the volume $name has the file system $type, not $3; it is left alone"; return; }
  mkdir -p "$5" && place "$5" || { problem "the directory $5 for the volume $name cannot be made"; return; }
  if ! mounted "$number"; then
    case $3 in ext4) unclean=noload ;; *) unclean=norecovery ;; esac
    # A journal cannot be played back to a disk that cannot be written.
    said=$(mount -t "$3" -o "$options" "$disk" "$target" 2>&1) ||
      { [ "$6" = ro ] && mount -t "$3" -o "$options,$unclean" "$disk" "$target" 2>/dev/null; } ||
      { problem "the volume $name cannot be mounted at $5: $said"; return; }
    mounted "$number" || { problem "the volume $name is not at $5, although its mount succeeded"; return; }
  fi
  entry "UUID=$uuid" "$3" "$options" 2
  [ "$6" = rw ] || return 0
  shorter "$3" "$sectors" || return 0
  case $3 in ext4) grow=resize2fs what=$disk ;; *) grow=xfs_growfs what=$target ;; esac
  command -v "$grow" >/dev/null || { note "the disk of the volume $name is larger than its file system, which cannot be grown: the guest has no $grow"; return; }
  said=$("$grow" "$what" 2>&1 </dev/null) || problem "the file system of the volume $name cannot be grown: $said"
}
