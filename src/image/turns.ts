/** How many downloads go on at once in one command: of all hosts, and of one. More of one host make none of them faster, and rude. */
const limits = {all: 4, perHost: 2}

/** Lets a bounded number of downloads go on at once. */
export interface DownloadTurns {
  /**
   * Waits until a download from this host may begin; disposing the result ends it.
   * @param onWait called once when that is not now
   */
  take(host: string, options: {readonly signal: AbortSignal; readonly onWait?: () => void}): Promise<Disposable>
}

interface Waiting {
  readonly host: string
  readonly start: () => void
}

/** Whoever has waited longest is next, of those whose host has room. */
export const downloadTurns = (): DownloadTurns => {
  const running: string[] = []
  const waiting: Waiting[] = []
  const hasRoom = (host: string): boolean => running.length < limits.all && running.filter((one) => one === host).length < limits.perHost
  const admit = (): void => {
    for (;;) {
      const next = waiting.findIndex(({host}) => hasRoom(host))
      if (next === -1) return
      const [admitted] = waiting.splice(next, 1)
      if (!admitted) return
      running.push(admitted.host)
      admitted.start()
    }
  }
  return {
    async take(host, {signal, onWait}) {
      signal.throwIfAborted()
      const {promise, resolve, reject} = Promise.withResolvers<void>()
      const one = {host, start: resolve}
      const give = (): void => {
        waiting.splice(waiting.indexOf(one), 1)
        reject(signal.reason as Error)
      }
      waiting.push(one)
      admit()
      if (waiting.includes(one)) {
        onWait?.()
        signal.addEventListener('abort', give, {once: true})
      }
      await promise.finally(() => signal.removeEventListener('abort', give))
      return {
        [Symbol.dispose]() {
          running.splice(running.indexOf(host), 1)
          admit()
        },
      }
    },
  }
}
