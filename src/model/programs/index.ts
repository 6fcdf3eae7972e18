// Made from *.sh beside it by `npm run programs`; what is changed here is lost.
import type {GuestProgram} from '../guest-program.ts'

/** any-shell.sh: Runs a POSIX shell command line in the home directory, without surprises of the log-in. */
export const anyShell: GuestProgram<never> = {
  variables: [],
  statuses: {},
  text: `unset BASH_ENV ENV CDPATH POSIXLY_CORRECT TAR_OPTIONS GREP_OPTIONS GZIP
command -v env >/dev/null 2>&1 || PATH=$PATH:/usr/local/bin:/usr/bin:/bin
cd 2>/dev/null
eval "$(printf %b "$1")"`,
}

/** elevate.sh: Runs a command with the rights of root: as it is, or by sudo, or by doas, whichever the guest has. It never asks for a password (-n); the guest's own message tells when it would have to. */
export const elevate: GuestProgram<never> = {
  variables: [],
  statuses: {},
  text: `if [ "$(id -u)" -eq 0 ]; then exec sh -c "$1"
elif command -v sudo >/dev/null 2>&1; then exec sudo -n -H -- sh -c "$1"
elif command -v doas >/dev/null 2>&1; then exec doas -n -- sh -c "$1"
else echo 'vmctl: the guest has neither sudo nor doas, and the user is not root' >&2; exit 126
fi`,
}
