/** One thing that was looked at; the `--json` shape of an element of `vmctl doctor`. */
export interface Check {
  readonly name: string
  /** `warn`: something that not everybody needs is missing. */
  readonly status: 'ok' | 'warn' | 'fail'
  readonly detail: string
  /** How to mend it. */
  readonly help?: string
}
