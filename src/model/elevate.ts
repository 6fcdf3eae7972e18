import {quote} from './quote.ts'

/**
 * A shell command line that runs another one as root: directly for root, else by sudo, else by doas, never with a password.
 * HOME is root's; the working directory stays.
 */
export const elevate = (command: string): string => {
  const shell = `sh -c ${quote(command)}`
  return `sh -c ${quote(
    `if [ "$(id -u)" -eq 0 ]; then exec ${shell}; elif command -v sudo >/dev/null 2>&1; then exec sudo -n -H -- ${shell}; else exec doas -n ${shell}; fi`,
  )}`
}
