# Runs a command with the rights of root: as it is, or by sudo, or by doas, whichever the guest has. It never asks for a password
# (-n); the guest's own message tells when it would have to.
#
# arguments: a POSIX shell command line
# status: that of the command; 126 when there is no way to become root
if [ "$(id -u)" -eq 0 ]; then exec sh -c "$1"
elif command -v sudo >/dev/null 2>&1; then exec sudo -n -H -- sh -c "$1"
elif command -v doas >/dev/null 2>&1; then exec doas -n -- sh -c "$1"
else echo 'vmctl: the guest has neither sudo nor doas, and the user is not root' >&2; exit 126
fi
