# Makes the disk of a guest an image for others, as root: what tells it from other guests goes (machine-id, host keys, host name, seeds
# of random numbers, leases), what cloud-init made for it, what vmctl has put there, and what people and services leave behind
# (histories, logs, caches, mail, temporary files). Users stay, without the keys that log them in.
#
# A file that a service still has open would keep its blocks until the next boot, so logs are emptied before they go. All paths are
# below one directory, which is / but for tests.
#
# output: a line on standard error for what could not be removed
# status: 1 when something is left
: "${root?directory of the system}"
: "${keep?paths that stay, each in a line}"
: "${login?user whose rights by cloud-init and vmctl go}"
: "${authorized?public key that lets that user in from now on, with his rights; empty for nobody}"

cd "$root" || exit 1
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
umask 022
who=vmctl-clean
. ./emptying.sh

# What stays is out of the way meanwhile, in the same file system if need be as a copy.
put_away=.vmctl-kept
kept() {
  # A shell may run the last part of a pipe itself, and `exit` would end more than that.
  printf '%s\n' "$keep" | (
    number=0
    while IFS= read -r path; do
      number=$((number + 1)) path=${path#/} path=${path%/}
      [ -n "$path" ] || continue
      if [ "$1" = away ]; then
        [ -e "./$path" ] || [ -L "./$path" ] || { echo "vmctl-clean: there is no /$path to keep" >&2; exit 1; }
        mkdir -p "$put_away" && chmod 700 "$put_away" && mv "./$path" "$put_away/$number" || exit 1
      else
        rm -rf "./$path"
        case $path in */*) mkdir -p "./${path%/*}" ;; esac
        mv "$put_away/$number" "./$path" || exit 1
      fi
    done
  ) || { problem 'what is to be kept could not be'; exit 1; }
}
kept away

# Who would write to a log again.
if [ "$root" = / ]; then
  if command -v systemctl >/dev/null; then
    systemctl stop syslog.socket systemd-journald.socket systemd-journald-dev-log.socket systemd-journald-audit.socket systemd-journald 2>/dev/null
  fi
  for daemon in rsyslogd syslog-ng syslogd; do pkill -x "$daemon" 2>/dev/null; done
fi

# Who this guest is.
blank etc/machine-id
. ./forget-identity.sh
gone var/lib/dbus/machine-id etc/ssh/ssh_host_* etc/dropbear/*_host_key etc/krb5.keytab etc/pki/consumer/*.pem etc/pki/entitlement/*.pem etc/sysconfig/rhn/systemid \
  var/lib/systemd/credential.secret
gone etc/passwd- etc/shadow- etc/group- etc/gshadow- etc/subuid- etc/subgid-
[ ! -f etc/hostname ] || echo localhost >etc/hostname
edit etc/rc.conf '/^hostname=/d'
edit etc/hosts '/^127\.0\.1\.1[[:space:]]/d'

# What cloud-init made for it. The directories that an image has for cloud-init stay.
[ ! -d var/lib/cloud ] || find var/lib/cloud -mindepth 1 ! -type d -exec rm -f {} +
[ ! -d var/lib/cloud ] || find var/lib/cloud -depth -mindepth 2 -type d -exec rmdir {} +
gone etc/netplan/50-cloud-init.yaml etc/network/interfaces.d/50-cloud-init* etc/systemd/network/10-cloud-init-* \
  etc/NetworkManager/system-connections/cloud-init-*
if [ -z "$authorized" ]; then
  gone etc/sudoers.d/90-cloud-init-users
  edit etc/doas.conf "/^permit nopass $login\$/d"
fi
if [ "$root" = / ] && [ "$(uname)" = FreeBSD ]; then true >firstboot; fi

# What vmctl has put there.
for file in etc/hosts etc/environment etc/fstab; do
  ! grep -q '^# vmctl end$' "$file" 2>/dev/null || edit "$file" '/^# vmctl begin$/,/^# vmctl end$/d'
done
gone var/lib/vmctl etc/systemd/system/serial-getty@.service.d/vmctl-autologin.conf usr/local/sbin/vmctl-autologin
edit etc/inittab 's, -n -l /usr/local/sbin/vmctl-autologin,,'

# What people leave behind.
homes=$(awk -F: '$6 ~ /^\/./ { print substr($6, 2) }' etc/passwd && echo root) || problem 'the users are not known'
printf '%s\n' "$homes" | (
  while IFS= read -r home; do
    [ -d "./$home" ] || continue
    for file in bash ash zsh ksh mksh tcsh python mysql psql sqlite redis node_repl; do gone "./$home/.${file}_history"; done
    gone "./$home/.history" "./$home/.sh_history" "./$home/.zhistory" "./$home/.lesshst" "./$home/.viminfo" "./$home/.wget-hsts" \
      "./$home/.local/share/fish/fish_history" "./$home/.local/state/bash/history" "./$home"/vmctl-????????-????-????-????-????????????-* "./$home"/.vmctl-??????????
    for file in "./$home"/.ssh/* "./$home"/.ssh/.[!.]*; do [ "${file##*/}" = config ] || gone "$file"; done
  done
  exit "$failed"
) || failed=1

# What services leave behind. Logs that are open again at the next boot keep their owner and mode.
find var/log -xdev -type f -exec sh -c "$hollow" sh {} + 2>/dev/null
find var/log -xdev -type f \( -name '*.gz' -o -name '*.xz' -o -name '*.zst' -o -name '*.bz2' -o -name '*.old' -o -name '*.[0-9]*' \
  -o -name '*-[0-9]*' -o -name '*.journal*' \) -exec rm -f {} + 2>/dev/null
emptied var/log/journal tmp var/tmp var/crash var/lib/systemd/coredump var/spool/abrt var/mail var/spool/mail var/spool/cron/lastrun \
  var/lib/apt/lists var/cache/apt/archives var/cache/dnf var/cache/yum var/cache/zypp var/cache/pacman/pkg var/cache/apk var/cache/ldconfig
gone var/cache/apt/*.bin var/lib/rsyslog/imjournal.state var/lib/lastlog/* var/account/pacct* etc/.pwd.lock

kept back
gone "$put_away"
if [ -n "$authorized" ]; then
  home=$(awk -F: -v user="$login" '$1 == user { print substr($6, 2); exit }' etc/passwd)
  [ -n "$home" ] && mkdir -p "./$home/.ssh" && chmod 700 "./$home/.ssh" && printf '%s\n' "$authorized" >"./$home/.ssh/authorized_keys" &&
    chmod 600 "./$home/.ssh/authorized_keys" && { [ "$root" != / ] || chown -R "$login" "./$home/.ssh"; } ||
    problem "$login could not be given his key"
fi
