# shellcheck shell=sh
# Sourced: a disk that boots by BIOS and by UEFI, made in files, without root, loop devices, mounts or grub-install.
#
# shellcheck disable=SC2154 # shared with the script that sources this

PATH=$PATH:/usr/sbin:/sbin
MTOOLS_SKIP_CHECK=1
export MTOOLS_SKIP_CHECK

# poke FILE OFFSET BYTES NUMBER: writes a little-endian number
poke() {
  value=$(($4))
  bytes=
  i=0
  while [ $i -lt "$3" ]; do
    bytes=$bytes$(printf '\\%03o' $((value & 255)))
    value=$((value >> 8))
    i=$((i + 1))
  done
  # shellcheck disable=SC2059 # the format is the data
  printf "$bytes" | dd of="$1" bs=1 seek="$(($2))" conv=notrunc status=none
}

# put FILE DISK SECTOR: copies FILE into DISK, leaving holes for zeros
put() { dd if="$1" of="$2" bs=64K seek="$(($3 * 512))" oflag=seek_bytes conv=notrunc,sparse status=none; }

# sectors FILE: its size in sectors of 512 bytes, rounded up
sectors() { echo $((($(stat -c %s "$1") + 511) / 512)); }

# grub_bios DISK SECTOR CORE BOOT: what grub-bios-setup does. The core image of GRUB goes to SECTOR (the BIOS boot partition),
# its boot.img to the MBR.
grub_bios() {
  disk=$1 sector=$2 core=$3
  [ "$(sectors "$core")" -le 2048 ] || { echo "GRUB's core image is too large" >&2; return 1; }
  # Its first sector loads the rest: tell it where that is.
  poke "$core" 0x1f4 8 $((sector + 1))
  put "$core" "$disk" "$sector"
  cp "$4" "$core.boot"
  poke "$core.boot" 0x5c 8 "$sector"
  # No guessing of the drive number: two no-ops, as for any hard disk.
  poke "$core.boot" 0x66 2 0x9090
  # Bytes 440 and up are the protective partition table.
  dd if="$core.boot" of="$disk" bs=440 count=1 conv=notrunc status=none
  rm "$core.boot"
}

# make_esp FILE SECTORS [OPTION...]: an empty FAT for the EFI system partition, by mformat
make_esp() {
  esp=$1
  truncate -s $(($2 * 512)) "$esp"
  shift 2
  mformat -i "$esp" -T "$(sectors "$esp")" -h 64 -s 32 -v ESP "$@" ::
  mmd -i "$esp" ::/EFI ::/EFI/BOOT
}
