import {Duplex} from 'node:stream'

import type {WebSocket} from 'undici'

import {VmctlError} from '../../../model/errors.ts'
import type {Wire} from './wire.ts'
import {incusFailures} from '../failures.ts'

/** What one side has to say at the end of what it sends. */
export type End = 'empty-text' | 'close'

/** A websocket of a server. */
export interface Socket {
  /** Bytes to and from it. The server ends its side with an empty text, and so do we, or by closing. */
  bytes(end: End): Duplex
  /** Texts that come, one after the other, until it closes. */
  texts(): AsyncIterable<string>
  send(text: string): void
  close(): void
}

const fullBytes = 1 << 20
const drainMs = 10

export const openSocket = async (
  wire: Wire,
  path: string,
  {doing, signal}: {readonly doing: string; readonly signal: AbortSignal},
): Promise<Socket> => {
  signal.throwIfAborted()
  const {WebSocket: Constructor} = await import('undici')
  const socket = new Constructor(`${wire.origin.replace(/^http/, 'ws')}${path}`, {dispatcher: wire.waits})
  socket.binaryType = 'arraybuffer'
  // What comes before anybody listens is kept: it may be at hand together with the answer.
  const inbox = inboxOf(socket)
  const {promise, resolve, reject} = Promise.withResolvers<undefined>()
  const abort = (): void => {
    reject(signal.reason as Error)
    socket.close()
  }
  signal.addEventListener('abort', abort, {once: true})
  socket.addEventListener('open', () => resolve(undefined))
  socket.addEventListener('error', () => reject(openFailure(wire, doing)))
  try {
    await promise
  } finally {
    signal.removeEventListener('abort', abort)
  }
  const close = (): void => socket.close()
  signal.addEventListener('abort', close, {once: true})
  socket.addEventListener('close', () => signal.removeEventListener('abort', close))
  return {
    bytes: (end) => bytesOf(socket, inbox, {end, server: wire.name}),
    texts: () => textsOf(inbox),
    send: (message) => socket.send(message),
    close: () => socket.close(),
  }
}

const openFailure = (wire: Wire, doing: string): VmctlError =>
  new VmctlError(incusFailures.connectionLost, `The Incus server ${wire.name} could not ${doing}: it opens no stream.`)

type Message = {readonly type: 'data'; readonly data: Buffer; readonly isText: boolean} | {readonly type: 'closed'; readonly clean: boolean}

interface Inbox {
  /** Hands over what has come, and from now on what comes. */
  listen(listener: (message: Message) => void): void
}

const inboxOf = (socket: WebSocket): Inbox => {
  const waiting: Message[] = []
  let deliver = (message: Message): void => void waiting.push(message)
  socket.addEventListener('message', ({data}) => {
    const isText = typeof data === 'string'
    deliver({type: 'data', data: isText ? Buffer.from(data) : Buffer.from(data as ArrayBuffer), isText})
  })
  socket.addEventListener('close', ({code}) => deliver({type: 'closed', clean: code !== 1006}))
  return {
    listen(listener) {
      deliver = listener
      for (const message of waiting.splice(0)) listener(message)
    },
  }
}

const bytesOf = (socket: WebSocket, inbox: Inbox, {end, server}: {readonly end: End; readonly server: string}): Duplex => {
  let hasEnded = false
  const drained = (done: (error?: Error | null) => void): void => {
    if (socket.readyState !== socket.OPEN || socket.bufferedAmount < fullBytes) return done()
    setTimeout(() => drained(done), drainMs)
  }
  const stream = new Duplex({
    read: () => undefined,
    write(chunk: Buffer, _encoding, done) {
      if (socket.readyState !== socket.OPEN) return done(lost(server))
      socket.send(chunk)
      drained(done)
    },
    final(done) {
      if (socket.readyState === socket.OPEN) {
        if (end === 'empty-text') socket.send('')
        else socket.close()
      }
      done()
    },
    destroy(error, done) {
      socket.close()
      done(error)
    },
  })
  const finish = (): void => {
    if (!hasEnded) stream.push(null)
    hasEnded = true
  }
  inbox.listen((message) => {
    if (message.type === 'closed') {
      if (message.clean || hasEnded) finish()
      else stream.destroy(lost(server))
    } else if (message.isText && message.data.length === 0) finish()
    else if (!hasEnded) stream.push(message.data)
  })
  return stream
}

const lost = (server: string): VmctlError =>
  new VmctlError(incusFailures.connectionLost, `The connection to the Incus server ${server} was cut.`)

async function* textsOf(inbox: Inbox): AsyncGenerator<string> {
  const queue: Message[] = []
  let wake = (): void => undefined
  inbox.listen((message) => {
    queue.push(message)
    wake()
  })
  for (;;) {
    const message = queue.shift()
    if (!message) {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
      continue
    }
    if (message.type === 'closed') return
    yield message.data.toString()
  }
}
