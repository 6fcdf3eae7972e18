import {quote} from '../../model/quote.ts'

/**
 * /etc/environment, which pam_env reads at every log-in: `NAME=value` in lines, without a shell. A value in double quotes may hold
 * blanks and `#`; a newline cannot be written there (pam_env(8)), and such a value is left to provision steps and health checks.
 */
export const environmentSection = (env: Readonly<Record<string, string>>): string => {
  const lines = Object.entries(env)
    .filter(([, value]) => !/[\r\n\0]/.test(value))
    .map(([name, value]) => `${name}="${value}"`)
  return `managed /etc/environment ${quote(lines.join('\n'))}`
}
