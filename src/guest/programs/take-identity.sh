# Makes a guest whose disk, or memory, was another's one of its own, as root: it takes another machine-id, and what it has shown to
# others until now is gone. Once: when it has the identity already, nothing happens. At boot cloud-init gives it host keys afterwards; a
# guest that was running when it was copied gets them here, and has sshd show them from the next connection on.
#
# output: a line on standard error for what could not be removed; `own` when the guest is one of its own
# status: 1 when something is left
: "${root?directory of the system}"
: "${identity?32 hexadecimal digits}"
: "${host_keys?what becomes of them: seeded, they go and cloud-init brings others; own, the one below takes their place; stay}"
: "${key_kind?of the host key: ed25519, ecdsa or rsa}"
: "${private_key?the host key}"
: "${public_key?its public half}"

cd "$root" || exit 1
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
umask 022
who=vmctl-identity
. ./emptying.sh
mark=var/lib/vmctl/identity
if [ "$(cat $mark 2>/dev/null)" = "$identity" ]; then echo own; exit 0; fi

. ./forget-identity.sh
[ "$host_keys" = stay ] || gone etc/ssh/ssh_host_* etc/dropbear/*_host_key
# A guest without systemd and D-Bus has none, and needs none. /var/lib/dbus/machine-id is mostly a link to the other.
for file in etc/machine-id var/lib/dbus/machine-id; do
  [ ! -f "$file" ] || [ -L "$file" ] || printf '%s\n' "$identity" >"$file" || problem "$file could not be written"
done
# cloud-init adds the line of the new name.
[ "$host_keys" != seeded ] || edit etc/hosts '/^127\.0\.1\.1[[:space:]]/d'
# So that nobody comes in by the key that vmctl has made for the other one; cloud-init adds that of this one afterwards.
if [ "$host_keys" = seeded ]; then
  for file in root/.ssh/authorized_keys home/*/.ssh/authorized_keys; do edit "$file" '/ vmctl [^ ]*$/d'; done
fi
# By this mark the setup of a first boot would step back.
gone var/lib/vmctl/setup
if [ "$host_keys" = own ]; then
  key=etc/ssh/ssh_host_${key_kind}_key
  (umask 077 && printf '%s\n' "$private_key" >"$key") && printf '%s\n' "$public_key" >"$key.pub" || problem "$key could not be written"
fi
mkdir -p var/lib/vmctl && printf '%s\n' "$identity" >$mark || problem "/$mark could not be written"

if [ "$root" = / ]; then
  # The journal is written below a directory that is called by the machine-id.
  if [ -d /run/systemd/system ]; then systemctl restart systemd-journald 2>/dev/null; fi
  if [ "$host_keys" = own ]; then
    # Connections are processes of their own and stay.
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
exit "$failed"
