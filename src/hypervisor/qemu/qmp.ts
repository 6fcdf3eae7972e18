import type {Socket} from 'node:net'

import {act} from '../../host/durable.ts'
import {connectUnix} from '../../host/sockets.ts'
import {debug} from '../../model/debug.ts'
import {messageOf, VmctlError} from '../../model/errors.ts'
import {qemuFiles} from './files.ts'
import type {Vm} from '../../model/vm.ts'
import {qemuFailures} from './failures.ts'

/** An event of the QEMU Machine Protocol, section 2.5 of qmp-spec. */
export interface QmpEvent {
  readonly event: string
  readonly data: Readonly<Record<string, unknown>>
}

export interface QmpClient extends Disposable {
  /** Runs a command and resolves to its `return` member. Throws `vmctl::qemu::qmp_command_failed`. */
  execute(command: string, args?: Readonly<Record<string, unknown>>, timeoutMs?: number): Promise<unknown>
  onEvent(listener: (event: QmpEvent) => void): void
  /** Resolves when QEMU has closed the connection, which it does when it ends. Never rejects. */
  readonly closed: Promise<void>
}

interface Pending {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: VmctlError) => void
  readonly timer: NodeJS.Timeout
}

/** No reply of the commands that vmctl uses comes near this. */
const longestMessage = 4 * 2 ** 20

/**
 * Connects to a QMP socket and negotiates capabilities.
 *
 * A monitor serves one client at a time: a second one is connected but never greeted, hence the deadline on everything.
 * @throws VmctlError `vmctl::qemu::qmp_connect_failed`
 */
export const connectQmp = async (path: string, options: {timeoutMs: number; signal?: AbortSignal}): Promise<QmpClient> => {
  const deadline = AbortSignal.timeout(options.timeoutMs)
  const signal = options.signal ? AbortSignal.any([options.signal, deadline]) : deadline
  let socket: Socket
  try {
    socket = await connectUnix(path, signal)
  } catch (error) {
    options.signal?.throwIfAborted()
    throw new VmctlError(qemuFailures.qmpConnectFailed, `Cannot connect to QEMU's control socket ${path}: ${messageOf(error)}`, {
      cause: error,
    })
  }
  const client = converse(socket)
  const giveUp = (): void => client[Symbol.dispose]()
  options.signal?.addEventListener('abort', giveUp, {once: true})
  try {
    await client.greeted(options.timeoutMs)
    await client.execute('qmp_capabilities', undefined, options.timeoutMs)
    return client
  } catch (error) {
    client[Symbol.dispose]()
    options.signal?.throwIfAborted()
    throw new VmctlError(qemuFailures.qmpConnectFailed, `QEMU does not answer on ${path}: ${messageOf(error)}`, {cause: error})
  } finally {
    options.signal?.removeEventListener('abort', giveUp)
  }
}

/** Does something with the monitor of a VM that runs. */
export const withMonitor = async (vm: Vm, action: (qmp: QmpClient) => Promise<unknown>): Promise<void> => {
  using qmp = await connectQmp(qemuFiles(vm.directory).monitorSocket, {timeoutMs: 10_000})
  await action(qmp)
}

const converse = (socket: Socket): QmpClient & {greeted(timeoutMs: number): Promise<void>} => {
  const pending = new Map<number, Pending>()
  const listeners: ((event: QmpEvent) => void)[] = []
  const greeting = Promise.withResolvers<void>()
  const closed = Promise.withResolvers<void>()
  let nextId = 1
  let buffer = ''

  const failAll = (reason: string): void => {
    const error = new VmctlError(qemuFailures.qmpCommandFailed, reason)
    greeting.reject(error)
    for (const {reject, timer} of pending.values()) {
      clearTimeout(timer)
      reject(error)
    }
    pending.clear()
  }
  const receive = (line: string): void => {
    debug('qmp', () => line, 'trace')
    const message = parseMessage(line)
    if (!message) {
      socket.destroy()
      return
    }
    if ('QMP' in message) greeting.resolve()
    else if (typeof message.event === 'string') {
      for (const listener of listeners) listener({event: message.event, data: asRecord(message.data)})
    } else if (typeof message.id === 'number') {
      const waiting = pending.get(message.id)
      if (!waiting) return
      pending.delete(message.id)
      clearTimeout(waiting.timer)
      if ('return' in message) waiting.resolve(message.return)
      else waiting.reject(commandFailed(asRecord(message.error)))
    }
  }
  // The greeting may be rejected before anybody waits for it.
  greeting.promise.catch(() => undefined)
  socket.setEncoding('utf8')
  socket.on('data', (chunk: string) => {
    buffer += chunk
    const lines = buffer.split('\n')
    buffer = lines.pop() ?? ''
    if (buffer.length > longestMessage) socket.destroy()
    for (const line of lines) if (line.trim() !== '') receive(line)
  })
  socket.on('error', () => undefined)
  socket.on('close', () => {
    failAll('QEMU closed its control connection.')
    closed.resolve()
  })

  const withDeadline = <T>(promise: Promise<T>, timeoutMs: number): Promise<T> => {
    const late = Promise.withResolvers<never>()
    const timer = setTimeout(() => {
      late.reject(new VmctlError(qemuFailures.qmpCommandFailed, `no answer within ${timeoutMs} ms`))
    }, timeoutMs)
    return Promise.race([promise, late.promise]).finally(() => {
      clearTimeout(timer)
    })
  }

  return {
    closed: closed.promise,
    greeted: (timeoutMs) => withDeadline(greeting.promise, timeoutMs),
    onEvent: (listener) => {
      listeners.push(listener)
    },
    execute(command, args, timeoutMs = 10_000) {
      const send = (): Promise<unknown> =>
        new Promise((resolve, reject) => {
          const id = nextId++
          const timer = setTimeout(() => {
            pending.delete(id)
            reject(new VmctlError(qemuFailures.qmpCommandFailed, `QEMU did not answer ${command} within ${timeoutMs} ms.`))
          }, timeoutMs)
          pending.set(id, {resolve, reject, timer})
          debug('qmp', () => `${command} ${JSON.stringify(args ?? {})}`)
          if (socket.destroyed) failAll('QEMU closed its control connection.')
          else socket.write(`${JSON.stringify({execute: command, id, ...(args && {arguments: args})})}\n`)
        })
      return isQuestion(command) ? send() : act(`qmp ${command}`, send)
    },
    [Symbol.dispose]: () => {
      socket.destroy()
    },
  }
}

/** Commands that change nothing. */
const isQuestion = (command: string): boolean => command.startsWith('query-') || command === 'qmp_capabilities'

const asRecord = (value: unknown): Record<string, unknown> => (typeof value === 'object' && value !== null ? {...value} : {})

const parseMessage = (line: string): Record<string, unknown> | undefined => {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? asRecord(value) : undefined
  } catch {
    return undefined
  }
}

const commandFailed = (error: Record<string, unknown>): VmctlError =>
  new VmctlError(qemuFailures.qmpCommandFailed, `QEMU refused: ${typeof error.desc === 'string' ? error.desc : 'no reason given'}`, {
    details: {class: error.class},
  })
