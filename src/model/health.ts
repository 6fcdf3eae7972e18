/** How it is found out whether what the guest is for works. */
export type HealthTest =
  /** Program and arguments, run in the guest as the SSH user. */
  | {readonly kind: 'exec'; readonly command: readonly string[]}
  /** A line for the guest's `sh -c`. */
  | {readonly kind: 'shell'; readonly line: string}
  /** A TCP port of the guest that accepts connections. */
  | {readonly kind: 'tcp'; readonly port: number}
  /** A URL as seen from the guest that answers with a status below 400. */
  | {readonly kind: 'http'; readonly url: string}

export interface Healthcheck {
  readonly test: HealthTest
  readonly intervalMs: number
  readonly timeoutMs: number
  /** Failures in a row that make a VM unhealthy. */
  readonly retries: number
  /** Time after the start in which failures do not count. */
  readonly startPeriodMs: number
}

/** As Docker has it: `starting` until the first success, or until too many failures in a row. */
export type HealthStatus = 'starting' | 'healthy' | 'unhealthy'

/** How one run of a health check ended. */
export interface ProbeResult {
  readonly isGood: boolean
  /** Exit status of the program; absent for other kinds of tests and for one that was ended. */
  readonly exitCode?: number
  /** What it printed last, stripped of control sequences, at most 4 KiB. */
  readonly output: string
  readonly durationMs: number
}

/** What is known of a guest's health, stored as `health.json` in the VM's directory from its first probe after each start. */
export interface Health {
  readonly schema: 1
  /** Id of the VM. */
  readonly vm: string
  readonly status: HealthStatus
  /** When the start period began: with the first probe. All times are RFC 3339. */
  readonly since: string
  /** Failures in a row that count. */
  readonly failures: number
  /** When the last of them was counted. */
  readonly countedAt?: string
  readonly checkedAt: string
  readonly last: ProbeResult
}

/**
 * What a further result says together with what was known; pure.
 *
 * The rules are those of Docker's HEALTHCHECK: one success makes a guest healthy, `retries` failures in a row make it unhealthy,
 * and failures in the start period do not count before the first success. Whoever asks more often than at the interval of
 * the check gains nothing by it: of several failures within one interval, one counts.
 */
export const advance = (
  before: Health | undefined,
  {vm, check, result, at}: {readonly vm: string; readonly check: Healthcheck; readonly result: ProbeResult; readonly at: Date},
): Health => {
  const now = at.toISOString()
  const known: Known = before ?? {status: 'starting', since: now, failures: 0}
  const seen = {schema: 1, vm, since: known.since, checkedAt: now, last: result} as const
  if (result.isGood) return {...seen, status: 'healthy', failures: 0}
  if (!counts(known, check, at)) return {...seen, status: known.status, failures: known.failures, ...optional(known.countedAt)}
  const failures = known.failures + 1
  return {...seen, status: failures >= check.retries ? 'unhealthy' : known.status, failures, countedAt: now}
}

const optional = (countedAt: string | undefined) => (countedAt === undefined ? {} : {countedAt})

type Known = Pick<Health, 'status' | 'since' | 'failures' | 'countedAt'>

const counts = ({status, since, countedAt}: Known, {startPeriodMs, intervalMs}: Healthcheck, at: Date): boolean => {
  const isWithin = (start: string, ms: number): boolean => at.getTime() - Date.parse(start) < ms
  if (status === 'starting' && isWithin(since, startPeriodMs)) return false
  return countedAt === undefined || !isWithin(countedAt, intervalMs)
}

/** `healthy`, or `healthy, 1 of 3 failed` between the first failure and the verdict. */
export const describeHealth = (health: Health, {retries}: Healthcheck): string =>
  health.status !== 'unhealthy' && health.failures > 0 ? `${health.status}, ${health.failures} of ${retries} failed` : health.status
