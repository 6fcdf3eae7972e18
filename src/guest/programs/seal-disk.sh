# Gives back what the file systems of a guest do not use, so that nothing that was deleted is in an image of its disk, and powers the
# guest off without letting anything write again: no service is stopped in the usual way, which would note so, or keep a new seed of
# random numbers. Follows clean.sh in the same shell, since nobody has the rights for it afterwards.
#
# output: a line on standard error for what is not as it should be, and at last `sealed`
# status: 1 when clean.sh has failed
# shellcheck disable=SC2154 # `failed` is that of clean.sh
[ "$failed" -eq 0 ] || exit 1

# What was in memory may be in swap.
if [ -r /proc/swaps ]; then
  awk 'NR > 1 { print $1, $3 }' /proc/swaps | while read -r swap kib; do
    swapoff "$swap" || continue
    uuid=$(blkid -s UUID -o value "$swap" 2>/dev/null)
    dd if=/dev/zero of="$swap" bs=1024k count=$((kib / 1024 + 1)) conv=notrunc 2>/dev/null
    mkswap ${uuid:+-U "$uuid"} "$swap" >/dev/null 2>&1 || echo "vmctl-clean: the swap $swap could not be made anew" >&2
  done
fi
sync
# fill DIRECTORY: what is free there becomes zeros, of which the host keeps nothing.
fill() {
  dd if=/dev/zero of="$1/.vmctl-zeros" bs=1024k 2>/dev/null
  sync
  rm -f "$1/.vmctl-zeros"
}
if [ -r /proc/mounts ]; then
  awk '$1 ~ /^\/dev\// && $3 ~ /^(ext[234]|xfs|btrfs|f2fs|vfat|jfs|nilfs2)$/ && $4 ~ /^rw/ && !seen[$1]++ { print $2 }' /proc/mounts |
    while IFS= read -r directory; do
      directory=$(printf %b "$(printf %s "$directory" | sed 's/\\\([0-7][0-7][0-7]\)/\\0\1/g')")
      fstrim "$directory" 2>/dev/null || fill "$directory"
    done
else fill ""
fi
sync
echo sealed
(
  trap '' HUP
  sleep 1
  if [ -w /proc/sysrq-trigger ]; then
    echo s >/proc/sysrq-trigger
    echo u >/proc/sysrq-trigger
    tries=0
    until [ $tries -ge 20 ] || awk '$2 == "/" { options = $4 } END { exit options !~ /^ro/ }' /proc/mounts; do
      tries=$((tries + 1))
      sleep 0.5 2>/dev/null || sleep 1
    done
    echo o >/proc/sysrq-trigger
    sleep 5
  fi
  # FreeBSD, and kernels without the keys of the system.
  if [ "$(uname)" = Linux ]; then poweroff -f; else halt -pq; fi
) </dev/null >/dev/null 2>&1 &
exit 0
