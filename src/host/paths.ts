import {access, constants} from 'node:fs/promises'
import {homedir} from 'node:os'
import {isAbsolute, join, resolve} from 'node:path'

/** Expands a leading `~` or `~/` to the home directory; `~user` is left alone, as in the book. */
export const expandTilde = (path: string): string => {
  if (path !== '~' && !path.startsWith('~/')) return path
  const home = process.env.HOME || homedir()
  return path === '~' ? home : join(home, path.slice(2))
}

/** An absolute path: `~` expanded, anything relative taken from `base`. */
export const resolvePath = (path: string, base: string): string => {
  const expanded = expandTilde(path)
  return isAbsolute(expanded) ? resolve(expanded) : resolve(base, expanded)
}

/**
 * The state directory: `$VMCTL_STATE_DIR`, `$XDG_DATA_HOME/vmctl`, `~/.local/share/vmctl`,
 * or `/tmp/vmctl-UID` for an account without a home: `/`, or `/nonexistent` as system accounts of Debian have it.
 */
export const defaultStateDirectory = (env: NodeJS.ProcessEnv = process.env): string => {
  if (env.VMCTL_STATE_DIR) return resolve(env.VMCTL_STATE_DIR)
  // The XDG base directory specification says that relative paths are to be ignored.
  if (env.XDG_DATA_HOME && isAbsolute(env.XDG_DATA_HOME)) return join(env.XDG_DATA_HOME, 'vmctl')
  const home = env.HOME || homedir()
  return home && !['/', '/nonexistent'].includes(home)
    ? join(home, '.local', 'share', 'vmctl')
    : `/tmp/vmctl-${process.getuid?.() ?? 'user'}`
}

/** The environment of this process, for a default that a caller can replace. */
export const environment = (): NodeJS.ProcessEnv => process.env

/** Where programs keep what the user configured: `$XDG_CONFIG_HOME`, `~/.config`. */
export const configDirectory = (env: NodeJS.ProcessEnv = process.env): string =>
  env.XDG_CONFIG_HOME && isAbsolute(env.XDG_CONFIG_HOME) ? env.XDG_CONFIG_HOME : join(env.HOME || homedir(), '.config')

/** The path of a program: as given when it has a slash, else the first one on PATH; undefined when there is none that may be run. */
export const findProgram = async (program: string, env: NodeJS.ProcessEnv = process.env): Promise<string | undefined> => {
  const candidates = program.includes('/') ? [program] : (env.PATH ?? '').split(':').map((directory) => join(directory || '.', program))
  for (const path of candidates) {
    const usable = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (usable) return path
  }
  return undefined
}
