/** What to do next. Advice that names the VM is a function of its name; as long as nobody knows that, it is `NAME`. */
export type Advice = string | ((vm: string) => string)

/** What a failure code means to a program (exit status) and to a person (what to do next). */
export interface Meaning {
  readonly exit: number
  readonly help: Advice
}

/**
 * Exit statuses by kind of failure, the same for every command.
 * `vmctl ssh NAME -- COMMAND` and `vmctl exec NAME COMMAND` are the exception: they pass the guest command's status through.
 */
export const exitCodes = {
  done: 0,
  unexplained: 1,
  usage: 2,
  notFound: 3,
  host: 4,
  state: 5,
  guest: 6,
  timeout: 7,
  interrupted: 130,
  unread: 141,
} as const
