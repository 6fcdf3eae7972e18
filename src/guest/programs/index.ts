// Made from *.sh beside it by `npm run programs`; what is changed here is lost.
import type {GuestProgram} from '../../model/guest-program.ts'

/** autologin-inittab.sh: Makes the serial console of a guest with inittab(5) start a program of ours in place of login: busybox init and sysvinit read the table again at SIGHUP. The line of that console keeps its id and runlevels, for these mean different things to the two: sysvinit takes four characters, busybox the name of the terminal. */
export const autologinInittab: GuestProgram<'login'> = {
  variables: ["login"],
  statuses: {},
  text: `table=/etc/inittab
getty=/sbin/getty
[ -x $getty ] || getty=/sbin/agetty
action="respawn:$getty -n -l $login -L 115200 ttyS0 vt100"
if ! grep -q '^[^#]*ttyS0' $table; then
if grep -q ':initdefault:' $table; then echo "S0:2345:$action"; else echo "ttyS0::$action"; fi >>$table
fi
sed -i "/^[^#]*ttyS0/s,^\\\\([^:]*:[^:]*:\\\\).*,\\\\1$action," $table && kill -HUP 1 || exit
pkill -x getty || pkill -x agetty || :`,
}

/** await-cloud-init.sh: Tells which boot this is, then waits for the result of cloud-init and tells it. The files say the same as `cloud-init status --format json`, which costs seconds of Python on a slow guest; it is asked only when the files do not come, as in a guest that keeps them elsewhere. */
export const awaitCloudInit: GuestProgram<'boot_id' | 'directory' | 'rounds' | 'marker'> = {
  variables: ["boot_id","directory","rounds","marker"],
  statuses: {},
  text: `cat "$boot_id" 2>/dev/null
echo "$marker"
if [ "$rounds" -eq 0 ]; then echo skipped; exit 0; fi
if ! command -v cloud-init >/dev/null 2>&1 && [ ! -d "$directory" ]; then echo absent; exit 0; fi
while [ ! -s "$directory/result.json" ]; do
if [ -e "$directory/disabled" ]; then echo disabled; exit 0; fi
rounds=$((rounds - 1))
if [ "$rounds" -le 0 ]; then echo running; echo "$marker"; cloud-init status --format json 2>/dev/null; exit 0; fi
sleep 0.2 2>/dev/null || sleep 1
done
echo 'done'
echo "$marker"
cat "$directory/result.json"
echo
echo "$marker"
cat "$directory/status.json" 2>/dev/null || :`,
}

/** check-health.sh: Runs a test in a session of its own, so that it can be ended with everything that it has started, and a watcher that does so although nobody listens any more. The watcher looks every second, so that none is left long after a test has ended. */
export const checkHealth: GuestProgram<'test_words' | 'environment' | 'vmctl_seconds'> = {
  variables: ["test_words","environment","vmctl_seconds"],
  statuses: {},
  text: `vmctl_own=; command -v setsid >/dev/null 2>&1 && [ "$(command -v kill)" = kill ] && vmctl_own=1
eval "$environment
\${vmctl_own:+setsid }$test_words </dev/null 2>&1 &"
test=$!
{ n=0; while [ $n -lt "$vmctl_seconds" ]; do sleep 1; kill -0 $test || exit 0; n=$((n+1)); done; kill -9 \${vmctl_own:+-}$test; } >/dev/null 2>&1 </dev/null &
wait $test`,
}

/** clean.sh: Makes the disk of a guest an image for others, as root: what tells it from other guests goes (machine-id, host keys, host name, seeds of random numbers, leases), what cloud-init made for it, what vmctl has put there, and what people and services leave behind (histories, logs, caches, mail, temporary files). Users stay, without the keys that log them in. */
export const clean: GuestProgram<'root' | 'keep' | 'login' | 'authorized'> = {
  variables: ["root","keep","login","authorized"],
  statuses: {},
  text: `cd "$root" || exit 1
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
umask 022
who=vmctl-clean
failed=0
problem() { printf '%s: %s\\n' "$who" "$1" >&2; failed=1; }
gone() { rm -rf "$@" || problem "not all of $1 could be removed"; }
blank() { for file; do [ ! -f "$file" ] || [ -L "$file" ] || true >"$file" || problem "$file could not be emptied"; done; }
hollow='for file; do true >"$file"; done'
emptied() {
for directory; do
[ -d "$directory" ] && [ ! -L "$directory" ] || continue
find "$directory" -xdev -type f -exec sh -c "$hollow" sh {} +
gone "$directory"/* "$directory"/.[!.]* "$directory"/..?*
done
}
edit() {
[ -f "$1" ] || return 0
edited=$(sed "$2" "$1"; echo .) && printf %s "\${edited%.}" >"$1" || problem "$1 could not be changed"
}
put_away=.vmctl-kept
kept() {
printf '%s\\n' "$keep" | (
number=0
while IFS= read -r path; do
number=$((number + 1)) path=\${path#/} path=\${path%/}
[ -n "$path" ] || continue
if [ "$1" = away ]; then
[ -e "./$path" ] || [ -L "./$path" ] || { echo "vmctl-clean: there is no /$path to keep" >&2; exit 1; }
mkdir -p "$put_away" && chmod 700 "$put_away" && mv "./$path" "$put_away/$number" || exit 1
else
rm -rf "./$path"
case $path in */*) mkdir -p "./\${path%/*}" ;; esac
mv "$put_away/$number" "./$path" || exit 1
fi
done
) || { problem 'what is to be kept could not be'; exit 1; }
}
kept away
if [ "$root" = / ]; then
if command -v systemctl >/dev/null; then
systemctl stop syslog.socket systemd-journald.socket systemd-journald-dev-log.socket systemd-journald-audit.socket systemd-journald 2>/dev/null
fi
for daemon in rsyslogd syslog-ng syslogd; do pkill -x "$daemon" 2>/dev/null; done
fi
blank etc/machine-id
gone etc/hostid etc/iscsi/initiatorname.iscsi etc/udev/rules.d/70-persistent-net.rules
gone var/lib/systemd/random-seed var/lib/seedrng var/lib/misc/random-seed var/lib/random-seed \\
var/lib/urandom/random-seed boot/loader/random-seed efi/loader/random-seed boot/efi/loader/random-seed entropy boot/entropy
emptied var/db/entropy var/lib/dhcp var/lib/dhcp3 var/lib/dhclient var/lib/dhcpcd var/lib/dhcpcd5 var/db/dhcpcd var/lib/udhcpc var/lib/systemd/network
gone etc/dhcpcd.duid etc/dhcpcd.secret var/db/dhclient.leases.* var/lib/NetworkManager/secret_key var/lib/NetworkManager/*lease* \\
var/lib/NetworkManager/timestamps var/lib/NetworkManager/seen-bssids
for file in etc/sysconfig/network-scripts/ifcfg-*; do edit "$file" '/^HWADDR=/d'; done
gone var/lib/dbus/machine-id etc/ssh/ssh_host_* etc/dropbear/*_host_key etc/krb5.keytab etc/pki/consumer/*.pem etc/pki/entitlement/*.pem etc/sysconfig/rhn/systemid \\
var/lib/systemd/credential.secret
gone etc/passwd- etc/shadow- etc/group- etc/gshadow- etc/subuid- etc/subgid-
[ ! -f etc/hostname ] || echo localhost >etc/hostname
edit etc/rc.conf '/^hostname=/d'
edit etc/hosts '/^127\\.0\\.1\\.1[[:space:]]/d'
[ ! -d var/lib/cloud ] || find var/lib/cloud -mindepth 1 ! -type d -exec rm -f {} +
[ ! -d var/lib/cloud ] || find var/lib/cloud -depth -mindepth 2 -type d -exec rmdir {} +
gone etc/netplan/50-cloud-init.yaml etc/network/interfaces.d/50-cloud-init* etc/systemd/network/10-cloud-init-* \\
etc/NetworkManager/system-connections/cloud-init-*
if [ -z "$authorized" ]; then
gone etc/sudoers.d/90-cloud-init-users
edit etc/doas.conf "/^permit nopass $login\\$/d"
fi
if [ "$root" = / ] && [ "$(uname)" = FreeBSD ]; then true >firstboot; fi
for file in etc/hosts etc/environment etc/fstab; do
! grep -q '^# vmctl end$' "$file" 2>/dev/null || edit "$file" '/^# vmctl begin$/,/^# vmctl end$/d'
done
gone var/lib/vmctl etc/systemd/system/serial-getty@.service.d/vmctl-autologin.conf usr/local/sbin/vmctl-autologin
edit etc/inittab 's, -n -l /usr/local/sbin/vmctl-autologin,,'
homes=$(awk -F: '$6 ~ /^\\/./ { print substr($6, 2) }' etc/passwd && echo root) || problem 'the users are not known'
printf '%s\\n' "$homes" | (
while IFS= read -r home; do
[ -d "./$home" ] || continue
for file in bash ash zsh ksh mksh tcsh python mysql psql sqlite redis node_repl; do gone "./$home/.\${file}_history"; done
gone "./$home/.history" "./$home/.sh_history" "./$home/.zhistory" "./$home/.lesshst" "./$home/.viminfo" "./$home/.wget-hsts" \\
"./$home/.local/share/fish/fish_history" "./$home/.local/state/bash/history" "./$home"/vmctl-????????-????-????-????-????????????-* "./$home"/.vmctl-??????????
for file in "./$home"/.ssh/* "./$home"/.ssh/.[!.]*; do [ "\${file##*/}" = config ] || gone "$file"; done
done
exit "$failed"
) || failed=1
find var/log -xdev -type f -exec sh -c "$hollow" sh {} + 2>/dev/null
find var/log -xdev -type f \\( -name '*.gz' -o -name '*.xz' -o -name '*.zst' -o -name '*.bz2' -o -name '*.old' -o -name '*.[0-9]*' \\
-o -name '*-[0-9]*' -o -name '*.journal*' \\) -exec rm -f {} + 2>/dev/null
emptied var/log/journal tmp var/tmp var/crash var/lib/systemd/coredump var/spool/abrt var/mail var/spool/mail var/spool/cron/lastrun \\
var/lib/apt/lists var/cache/apt/archives var/cache/dnf var/cache/yum var/cache/zypp var/cache/pacman/pkg var/cache/apk var/cache/ldconfig
gone var/cache/apt/*.bin var/lib/rsyslog/imjournal.state var/lib/lastlog/* var/account/pacct* etc/.pwd.lock
kept back
gone "$put_away"
if [ -n "$authorized" ]; then
home=$(awk -F: -v user="$login" '$1 == user { print substr($6, 2); exit }' etc/passwd)
[ -n "$home" ] && mkdir -p "./$home/.ssh" && chmod 700 "./$home/.ssh" && printf '%s\\n' "$authorized" >"./$home/.ssh/authorized_keys" &&
chmod 600 "./$home/.ssh/authorized_keys" && { [ "$root" != / ] || chown -R "$login" "./$home/.ssh"; } ||
problem "$login could not be given his key"
fi`,
}

/** kind-of-path.sh: Tells what a path leads to, by its status. */
export const kindOfPath: GuestProgram<'path', 'directory' | 'file' | 'missing'> = {
  variables: ["path"],
  statuses: {"directory":10,"file":11,"missing":12},
  text: `if [ -d "$path" ]; then exit 10
elif [ -e "$path" ]; then exit 11
else exit 12
fi`,
}

/** receive-file.sh: Receives one file from standard input. All bytes, owner and mode come together in a private directory beside the destination, and only then the rename; it ends in one of two states. Whoever else may write to that place can move the private directory but not look or reach into it: it is entered once, and from then on only named by `.` and `..`. */
export const receiveFile: GuestProgram<'destination' | 'size' | 'mode' | 'owner'> = {
  variables: ["destination","size","mode","owner"],
  statuses: {},
  text: `fail() { echo "$1" >&2; exit 1; }
name=\${destination##*/}; parent=\${destination%/*}/
[ -n "$name" ] || fail "$destination is not the name of a file"
[ ! -d "$destination" ] || fail "$destination is a directory"
[ -d "$parent" ] || (umask 022; mkdir -p "$parent") || exit 1
umask 077
cd "$parent" || exit 1
here=$(pwd -P; echo .); here=\${here%??}
stage=$(mktemp -d ./.vmctl-XXXXXXXXXX) && cd "$stage" || exit 1
trap 'rm -f "./$name"; cd .. && rmdir "$stage" 2>/dev/null' EXIT
trap 'exit 1' HUP INT TERM PIPE
[ "$(pwd -P)" = "\${here%/}/\${stage#./}" ] || fail "$parent changed meanwhile"
cat >"./$name" || exit 1
count=$(($(wc -c <"./$name")))
[ "$count" -eq "$size" ] || fail "$count of $size bytes arrived"
[ -z "$owner" ] || chown "$owner" "./$name" || exit 1
chmod "$mode" "./$name" || exit 1
mv -f "./$name" .. || exit 1
sync`,
}

/** seal-disk.sh: Gives back what the file systems of a guest do not use, so that nothing that was deleted is in an image of its disk, and powers the guest off without letting anything write again: no service is stopped in the usual way, which would note so, or keep a new seed of random numbers. Follows clean.sh in the same shell, since nobody has the rights for it afterwards. */
export const sealDisk: GuestProgram<never> = {
  variables: [],
  statuses: {},
  text: `[ "$failed" -eq 0 ] || exit 1
if [ -r /proc/swaps ]; then
awk 'NR > 1 { print $1, $3 }' /proc/swaps | while read -r swap kib; do
swapoff "$swap" || continue
uuid=$(blkid -s UUID -o value "$swap" 2>/dev/null)
dd if=/dev/zero of="$swap" bs=1024k count=$((kib / 1024 + 1)) conv=notrunc 2>/dev/null
mkswap \${uuid:+-U "$uuid"} "$swap" >/dev/null 2>&1 || echo "vmctl-clean: the swap $swap could not be made anew" >&2
done
fi
sync
fill() {
dd if=/dev/zero of="$1/.vmctl-zeros" bs=1024k 2>/dev/null
sync
rm -f "$1/.vmctl-zeros"
}
if [ -r /proc/mounts ]; then
awk '$1 ~ /^\\/dev\\// && $3 ~ /^(ext[234]|xfs|btrfs|f2fs|vfat|jfs|nilfs2)$/ && $4 ~ /^rw/ && !seen[$1]++ { print $2 }' /proc/mounts |
while IFS= read -r directory; do
directory=$(printf %b "$(printf %s "$directory" | sed 's/\\\\\\([0-7][0-7][0-7]\\)/\\\\0\\1/g')")
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
if [ "$(uname)" = Linux ]; then poweroff -f; else halt -pq; fi
) </dev/null >/dev/null 2>&1 &
exit 0`,
}

/** send-file.sh: Sends one file by standard output. Its permissions come first on standard error, as `ls` writes them: stat(1) is different on every system. */
export const sendFile: GuestProgram<'source'> = {
  variables: ["source"],
  statuses: {},
  text: `[ ! -d "$source" ] || { echo "$source is a directory" >&2; exit 1; }
ls -ldL "$source" | cut -c 1-10 >&2 && exec cat "$source"`,
}

/** set-clock.sh: Sets a clock that is behind, as that of a guest is after a pause. The time comes by standard input, in seconds: a line to compare with, a little after that second has begun, and one to set, as it begins. A clock that is further behind than the pause was long is not ours to correct. BSD's date has no -s. */
export const setClock: GuestProgram<'most_seconds'> = {
  variables: ["most_seconds"],
  statuses: {},
  text: `echo ready
IFS= read -r now
behind=$((now - $(date +%s)))
if [ "$behind" -lt 1 ] || { [ -n "$most_seconds" ] && [ "$behind" -gt "$most_seconds" ]; }; then echo "kept $behind"; exit 0; fi
IFS= read -r now
date -u -s "@$now" >/dev/null 2>&1 || date -u -f %s "$now" >/dev/null || exit 1
echo "set $behind"`,
}

/** setup-mounts.sh: Functions for what of the host's is in the guest's tree: a part of the setup. The calls of `volume` and `share` gather a table for /etc/fstab, for a reboot of the guest's own. */
export const setupMounts: GuestProgram<never> = {
  variables: [],
  statuses: {},
  text: `table=
escape() { printf %s "$1" | sed 's/\\\\/\\\\134/g; s/ /\\\\040/g; s/\\t/\\\\011/g'; }
place() { target=$(cd "$1" && pwd -P) && point=$(escape "$target"); }
mounted() {
what=$1 root=\${2:-/} point=$point awk '
    $5 == ENVIRON["point"] { at = 7; while ($at != "-") at++; number = $3; root = $4; source = $(at + 2) }
    END { exit !((number == ENVIRON["what"] || source == ENVIRON["what"]) && root == ENVIRON["root"]) }' /proc/self/mountinfo
}
entry() {
table="$table\${table:+
}$1 $point $2 $3,nofail 0 $4"
}`,
}

/** setup-shares.sh: `share`: a folder of the host, found by its tag. Of one file, the directory that stands for it is mounted where nobody else looks, and the file is bound to its place. A part of the setup. */
export const setupShares: GuestProgram<never> = {
  variables: [],
  statuses: {},
  text: `modprobe -aq 9p 9pnet_virtio virtiofs 2>/dev/null
driver() {
type=virtiofs
for device in /sys/bus/virtio/drivers/9pnet_virtio/virtio*/mount_tag; do
[ ! -r "$device" ] || [ "$(tr -d '\\000' <"$device")" != "$1" ] || type=9p
done
grep -qw "$type" /proc/filesystems
}
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
bind() {
source=$target/$3 from=$point/$3
mkdir -p "\${2%/*}/" && place "\${2%/*}/" && { [ -e "$2" ] || : >"$2"; } && [ -f "$2" ] ||
{ problem "$2 is not a file in whose place a shared one could be"; return; }
target=\${target%/}/\${2##*/}
point=$(escape "$target")
if ! mounted "$1" "/$3"; then
said=$(mount -o bind "$source" "$target" 2>&1) || { problem "the shared file cannot be mounted at $2: $said"; return; }
mounted "$1" "/$3" || { problem "the shared file is not at $2, although its mount succeeded"; return; }
fi
entry "$from" none "bind,x-systemd.requires-mounts-for=\${from%/*}" 0
}`,
}

/** setup-volumes.sh: `volume`: a disk of its own is found by its serial, formatted when it was never used, mounted, and grown to the size of the disk. fstab has its UUID, for a label can be on two disks. A part of the setup. shellcheck disable=SC2154 # `place` of setup-mounts.sh sets target */
export const setupVolumes: GuestProgram<never> = {
  variables: [],
  statuses: {},
  text: `disk() {
tries=0
until [ $tries -ge 100 ]; do
for facts in /sys/block/*; do
[ -r "$facts/serial" ] || continue
serial=
read -r serial <"$facts/serial"
disk=/dev/\${facts##*/}
[ "$serial" = "$1" ] && [ -e "$disk" ] && return
done
tries=$((tries + 1))
sleep 0.2
done
return 1
}
probe() {
type='' uuid=''
found=$(blkid -p "$disk" 2>/dev/null) || found=$(blkid "$disk" 2>/dev/null)
case $found in *' TYPE="'*) type=\${found#* TYPE=\\"} type=\${type%%\\"*} ;; esac
case $found in *' UUID="'*) uuid=\${found#* UUID=\\"} uuid=\${uuid%%\\"*} ;; esac
}
zeros() {
[ "$(dd if="$disk" bs=512 skip="$1" count=2048 2>/dev/null | wc -c)" -eq 1048576 ] &&
[ "$(dd if="$disk" bs=512 skip="$1" count=2048 2>/dev/null | tr -d '\\000' | wc -c)" -eq 0 ]
}
blank() { [ -z "$found" ] && zeros 0 && zeros $(($1 - 2048)); }
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
format() {
command -v "mkfs.$1" >/dev/null || { problem "the volume $name cannot be formatted: the guest has no mkfs.$1"; return 1; }
mkdir -p /var/lib/vmctl && : >"$mark" && sync
said=$("mkfs.$1" -q -L "$2" "$disk" 2>&1 </dev/null) || { problem "the volume $name cannot be formatted: $said"; return 1; }
sync
}
volume() {
name=$2 mark=/var/lib/vmctl/formatting-$1 options=$6\${7:+,$7}
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
}`,
}

/** setup.sh: Brings a guest to what its stack gives it, as root: this file, those of the mounts when there are some, then calls of their functions, the last one `finish`. It may be run at any time and as often as one likes, and takes back what an earlier setup had and this one has not. */
export const setup: GuestProgram<never> = {
  variables: [],
  statuses: {},
  text: `occasion=\${1-}
[ "$occasion" = boot ] && [ -e /var/lib/vmctl/setup ] && exit 0
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
umask 022
failed=0
problem() { printf 'vmctl-setup: %s\\n' "$1" >&2; failed=1; }
note() { printf 'vmctl-setup: note: %s\\n' "$1" >&2; }
managed() {
block=$2
[ -n "$block" ] || grep -q '^# vmctl begin$' "$1" 2>/dev/null || return 0
new=$1.vmctl-new
cp -p "$1" "$new" 2>/dev/null
{
[ ! -e "$1" ] || awk '
      /^# vmctl begin$/ { if (inside) printf "%s", held; inside = 1; held = "" }
      inside { held = held $0 "\\n" }
      !inside { print }
      /^# vmctl end$/ { inside = 0; held = "" }
      END { if (inside) printf "%s", held }' "$1"
[ -z "$block" ] || printf '# vmctl begin\\n%s\\n# vmctl end\\n' "$block"
} >"$new" && { cmp -s "$new" "$1" && rm -f "$new" || mv -f "$new" "$1"; } || problem "cannot write $1"
}
address() {
[ "$occasion" != boot ] || return 0
for link in /sys/class/net/*; do
[ "$(cat "$link/address" 2>/dev/null)" = "$1" ] || continue
link=\${link##*/}
case $(ip -4 addr show dev "$link") in *"inet $2 "*) return ;; esac
ip link set dev "$link" up && ip addr add "$2" dev "$link" || problem "cannot give the address $2 to $link"
return
done
problem "no network interface has the MAC address $1; restart the VM to give it one"
}
finish() {
mkdir -p /var/lib/vmctl && : >/var/lib/vmctl/setup
exit "$failed"
}`,
}

/** take-identity.sh: Makes a guest whose disk, or memory, was another's one of its own, as root: it takes another machine-id, and what it has shown to others until now is gone. Once: when it has the identity already, nothing happens. At boot cloud-init gives it host keys afterwards; a guest that was running when it was copied gets them here, and has sshd show them from the next connection on. */
export const takeIdentity: GuestProgram<'root' | 'identity' | 'host_keys' | 'key_kind' | 'private_key' | 'public_key'> = {
  variables: ["root","identity","host_keys","key_kind","private_key","public_key"],
  statuses: {},
  text: `cd "$root" || exit 1
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
umask 022
who=vmctl-identity
failed=0
problem() { printf '%s: %s\\n' "$who" "$1" >&2; failed=1; }
gone() { rm -rf "$@" || problem "not all of $1 could be removed"; }
blank() { for file; do [ ! -f "$file" ] || [ -L "$file" ] || true >"$file" || problem "$file could not be emptied"; done; }
hollow='for file; do true >"$file"; done'
emptied() {
for directory; do
[ -d "$directory" ] && [ ! -L "$directory" ] || continue
find "$directory" -xdev -type f -exec sh -c "$hollow" sh {} +
gone "$directory"/* "$directory"/.[!.]* "$directory"/..?*
done
}
edit() {
[ -f "$1" ] || return 0
edited=$(sed "$2" "$1"; echo .) && printf %s "\${edited%.}" >"$1" || problem "$1 could not be changed"
}
mark=var/lib/vmctl/identity
if [ "$(cat $mark 2>/dev/null)" = "$identity" ]; then echo own; exit 0; fi
gone etc/hostid etc/iscsi/initiatorname.iscsi etc/udev/rules.d/70-persistent-net.rules
gone var/lib/systemd/random-seed var/lib/seedrng var/lib/misc/random-seed var/lib/random-seed \\
var/lib/urandom/random-seed boot/loader/random-seed efi/loader/random-seed boot/efi/loader/random-seed entropy boot/entropy
emptied var/db/entropy var/lib/dhcp var/lib/dhcp3 var/lib/dhclient var/lib/dhcpcd var/lib/dhcpcd5 var/db/dhcpcd var/lib/udhcpc var/lib/systemd/network
gone etc/dhcpcd.duid etc/dhcpcd.secret var/db/dhclient.leases.* var/lib/NetworkManager/secret_key var/lib/NetworkManager/*lease* \\
var/lib/NetworkManager/timestamps var/lib/NetworkManager/seen-bssids
for file in etc/sysconfig/network-scripts/ifcfg-*; do edit "$file" '/^HWADDR=/d'; done
[ "$host_keys" = stay ] || gone etc/ssh/ssh_host_* etc/dropbear/*_host_key
for file in etc/machine-id var/lib/dbus/machine-id; do
[ ! -f "$file" ] || [ -L "$file" ] || printf '%s\\n' "$identity" >"$file" || problem "$file could not be written"
done
[ "$host_keys" != seeded ] || edit etc/hosts '/^127\\.0\\.1\\.1[[:space:]]/d'
if [ "$host_keys" = seeded ]; then
for file in root/.ssh/authorized_keys home/*/.ssh/authorized_keys; do edit "$file" '/ vmctl [^ ]*$/d'; done
fi
gone var/lib/vmctl/setup
if [ "$host_keys" = own ]; then
key=etc/ssh/ssh_host_\${key_kind}_key
(umask 077 && printf '%s\\n' "$private_key" >"$key") && printf '%s\\n' "$public_key" >"$key.pub" || problem "$key could not be written"
fi
mkdir -p var/lib/vmctl && printf '%s\\n' "$identity" >$mark || problem "/$mark could not be written"
if [ "$root" = / ]; then
if [ -d /run/systemd/system ]; then systemctl restart systemd-journald 2>/dev/null; fi
if [ "$host_keys" = own ]; then
if [ -d /run/systemd/system ]; then systemctl try-restart sshd.service ssh.service 2>/dev/null
elif command -v rc-service >/dev/null; then rc-service --ifstarted sshd restart >/dev/null 2>&1
else
for file in /run/sshd.pid /var/run/sshd.pid; do
if [ -s "$file" ]; then kill -HUP "$(cat "$file")" && break; fi
done
fi
sync
fi
fi
[ "$failed" -ne 0 ] || echo own
exit "$failed"`,
}
