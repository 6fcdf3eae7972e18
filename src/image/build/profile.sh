# shellcheck shell=sh
# Sourced by build.sh: a cloud image as a publisher would make it. Its kernel is a package, so that an upgrade in the guest is booted.
#
# shellcheck disable=SC2154,SC2034 # shared with build.sh
# shellcheck disable=SC2016 # for GRUB

packages='systemd-sysv libpam-systemd libnss-systemd dbus udev systemd-timesyncd
  linux-image-amd64 initramfs-tools zstd grub-cloud-amd64
  openssh-server sudo cloud-init cloud-guest-utils qemu-guest-agent
  ca-certificates curl e2fsprogs fdisk iproute2 iputils-ping kmod less locales netbase procps tzdata vim-tiny'
renderer=networkd
if [ "$SUITE" != bullseye ]; then
  packages="$packages systemd-resolved"
else
  # Here resolved belongs to systemd, and cloud-init reaches networkd by netplan only.
  packages="$packages netplan.io"
  renderer=netplan
fi

root_id=$(new_id root)
esp_serial=$(new_id esp | cut -c 1-8 | tr a-f A-F)
console='console=tty0 console=ttyS0,115200'

install_system() {
  # Before initramfs-tools come, which look there for what the root needs.
  printf 'UUID=%s / ext4 rw,discard,errors=remount-ro 0 1\nUUID=%s /boot/efi vfat umask=0077,nofail,x-systemd.device-timeout=10min 0 0\n' \
    "$root_id" "$(echo "$esp_serial" | sed 's/..../&-/')" >fstab
  # shellcheck disable=SC2016 # for the shell of the hook
  install_packages --essential-hook='cp "$work/fstab" "$1/etc/fstab"'
}

customize() {
  forget_machine
  ln -s ../run/systemd/resolve/stub-resolv.conf root/etc/resolv.conf
  for unit in systemd-networkd systemd-resolved; do systemctl --root=root enable "$unit" 2>/dev/null || chroot root systemctl enable "$unit"; done
  mkdir -p root/boot/efi root/etc/cloud/cloud.cfg.d root/etc/default/grub.d
  {
    echo '# How this image was made: networkd is what brings its network up, and its sources of packages are those that it was made from.'
    echo "system_info: {network: {renderers: [$renderer]}}"
    echo 'apt: {preserve_sources_list: true}'
    echo 'locale: C.UTF-8'
  } >root/etc/cloud/cloud.cfg.d/90_image.cfg
  echo 'LANG=C.UTF-8' >root/etc/default/locale
  {
    echo 'GRUB_TIMEOUT=1'
    echo 'GRUB_CMDLINE_LINUX_DEFAULT=quiet'
    echo "GRUB_CMDLINE_LINUX='$console'"
    echo 'GRUB_DISABLE_OS_PROBER=true'
  } >root/etc/default/grub.d/90_image.cfg
  # With this file, an upgrade of GRUB's packages also writes what the firmware loads.
  : >root/etc/grub.d/enable_cloud

  # update-grub, which cannot look at the disk before there is one, replaces this at the first upgrade of the kernel.
  mkdir -p root/boot/grub
  {
    echo "search --no-floppy --fs-uuid --set=root $root_id"
    echo "linux /vmlinuz root=UUID=$root_id ro quiet $console"
    echo 'initrd /initrd.img'
    echo 'boot'
  } >root/boot/grub/grub.cfg
  cp -r root/usr/lib/grub/i386-pc root/boot/grub/
  cp root/usr/share/grub/unicode.pf2 root/boot/grub/ 2>/dev/null || :
}

# make_disk BYTES: a GPT with GRUB for the BIOS, an EFI system partition, and the root, which is the last one so that it may grow
make_disk() {
  mib=2048
  root_at=$((130 * mib))
  root_size=$(($1 / 512 - root_at - mib))
  truncate -s "$1" disk.raw
  printf '%s\n' 'label: gpt' "label-id: $(new_id disk)" 'unit: sectors' 'first-lba: 64' \
    "disk.raw1 : start=$root_at, size=$root_size, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, uuid=$(new_id 1), name=root" \
    "disk.raw14 : start=$mib, size=$mib, type=21686148-6449-6E6F-744E-656564454649, uuid=$(new_id 14), name=bios" \
    "disk.raw15 : start=$((2 * mib)), size=$((128 * mib)), type=uefi, uuid=$(new_id 15), name=esp" |
    sfdisk -q disk.raw

  # By the GRUB of the guest, since its modules are loaded afterwards.
  printf 'search.fs_uuid %s root\nset prefix=($root)/boot/grub\n' "$root_id" >grub-early.cfg
  cp grub-early.cfg root/tmp/
  chroot root grub-mkimage -O i386-pc -p /boot/grub -c /tmp/grub-early.cfg biosdisk part_gpt ext2 search_fs_uuid >core.img
  rm root/tmp/grub-early.cfg
  cp core.img root/boot/grub/i386-pc/
  grub_bios disk.raw "$mib" core.img root/usr/lib/grub/i386-pc/boot.img

  # What the firmware of secure boot accepts: shim, which Microsoft has signed, and the GRUB that Debian has signed. That one
  # looks for its configuration in EFI/debian.
  make_esp esp $((128 * mib)) -N "$esp_serial"
  mmd -i esp ::/EFI/debian
  mcopy -i esp root/usr/lib/shim/shimx64.efi.signed ::/EFI/BOOT/BOOTX64.EFI
  mcopy -i esp root/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed ::/EFI/BOOT/grubx64.efi
  printf 'search.fs_uuid %s root\nset prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n' "$root_id" >esp-grub.cfg
  mcopy -i esp esp-grub.cfg ::/EFI/debian/grub.cfg
  put esp disk.raw $((2 * mib))

  make_root disk.raw "$root_at" "$root_size" -U "$root_id"
}
