import {operation, type Operation} from './operation.ts'
import {shape, text} from './read.ts'
import type {Socket} from './socket.ts'

/** Hears which operations have ended, all of them by one connection: none has to be asked for by itself. */
export interface Watch {
  /** Listens from before something is begun until it is disposed of. It never fails: without a connection there is nothing to hear. */
  use(): Promise<Disposable>
  /**
   * Waits for the end of an operation, also one that has ended since `use`.
   * @returns undefined when the time is up, or at once when nothing is heard any more
   */
  ended(id: string, ms: number, signal: AbortSignal): Promise<Operation | undefined>
  readonly hears: boolean
}

/** An open connection keeps the process alive, so it goes soon after the last user. */
const lingerMs = 100
const mostRemembered = 10_000

const event = shape<{readonly type: string; readonly metadata: Operation}>({type: text, metadata: operation})

export const openWatch = (open: (signal: AbortSignal) => Promise<Socket>): Watch & Disposable => {
  const waiting = new Map<string, (ended: Operation | undefined) => void>()
  const known = new Map<string, Operation>()
  let socket: Socket | undefined
  let opening: Promise<void> | undefined
  let users = 0
  let cannot = false

  const take = (message: string): void => {
    const {metadata} = event(JSON.parse(message), 'event')
    // Events come in any order: what has ended has ended.
    if (metadata.statusCode < 200) return
    const waiter = waiting.get(metadata.id)
    if (waiter) return waiter(metadata)
    known.set(metadata.id, metadata)
    const [oldest] = known.keys()
    if (known.size > mostRemembered && oldest !== undefined) known.delete(oldest)
  }

  const follow = async (stream: Socket): Promise<void> => {
    try {
      for await (const message of stream.texts()) take(message)
    } catch {
      // What cannot be understood is no reason to fail: those who wait ask for themselves.
      stream.close()
    }
    if (socket === stream) socket = undefined
    for (const waiter of [...waiting.values()]) waiter(undefined)
  }

  const listen = async (): Promise<void> => {
    try {
      const stream = await open(new AbortController().signal)
      socket = stream
      void follow(stream)
    } catch {
      cannot = true
    } finally {
      opening = undefined
    }
  }

  const close = (): void => {
    socket?.close()
    socket = undefined
    known.clear()
  }

  return {
    get hears() {
      return socket !== undefined
    },
    async use() {
      users++
      if (!socket && !cannot) await (opening ??= listen())
      return {
        [Symbol.dispose]: () => {
          users--
          if (users === 0) setTimeout(() => (users === 0 ? close() : undefined), lingerMs)
        },
      }
    },
    async ended(id, ms, signal) {
      signal.throwIfAborted()
      const already = known.get(id)
      if (already) return already
      if (!socket) return undefined
      const {promise, resolve, reject} = Promise.withResolvers<Operation | undefined>()
      const timer = setTimeout(() => resolve(undefined), ms)
      const abort = (): void => reject(signal.reason as Error)
      signal.addEventListener('abort', abort, {once: true})
      waiting.set(id, resolve)
      try {
        return await promise
      } finally {
        waiting.delete(id)
        clearTimeout(timer)
        signal.removeEventListener('abort', abort)
      }
    },
    [Symbol.dispose]: close,
  }
}
