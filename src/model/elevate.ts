import {quote} from './quote.ts'

/**
 * Runs the command that it is given as root: as it is, or by sudo, or by doas, whichever the guest has.
 * Never asks for a password (`-n`); the guest's own message tells when it would have to.
 */
const asRoot = `if [ "$(id -u)" -eq 0 ]; then exec sh -c "$1"
elif command -v sudo >/dev/null 2>&1; then exec sudo -n -H -- sh -c "$1"
elif command -v doas >/dev/null 2>&1; then exec doas -n -- sh -c "$1"
else echo 'vmctl: the guest has neither sudo nor doas, and the user is not root' >&2; exit 126
fi`

/** The command line that runs `command` (a POSIX shell command line) with the rights of root. */
export const elevate = (command: string): string => `sh -c ${quote(asRoot)} sh ${quote(command)}`
