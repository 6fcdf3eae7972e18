import {quote} from '../../model/quote.ts'

/**
 * /etc/environment, which pam_env reads at every log-in: `NAME=value` in lines, without a shell. It takes one pair of quotes away.
 * A value that cannot be written there is left to provision steps and health checks.
 */
export const environmentSection = (env: Readonly<Record<string, string>>): string => {
  const unfit = new Set(unfitForLogin(env))
  const lines = Object.entries(env)
    .filter(([name]) => !unfit.has(name))
    .map(([name, value]) => `${name}="${value}"`)
  return `managed /etc/environment ${quote(lines.join('\n'))}`
}

/** pam_env reads lines into a buffer of 1024 bytes. */
const lineLimit = 1000

/**
 * The names of the variables that no log-in can have: pam_env ends a value at a line break and at `#`, quoted or not (seen with
 * Linux-PAM 1.5.2), and half a value would be worse than none.
 */
export const unfitForLogin = (env: Readonly<Record<string, string>>): readonly string[] =>
  Object.entries(env).flatMap(([name, value]) => (/[\r\n\0#]/.test(value) || Buffer.byteLength(name + value) > lineLimit ? [name] : []))
