import {createHash} from 'node:crypto'
import type {IncomingMessage} from 'node:http'
import type {Duplex} from 'node:stream'

/** The server's end of a websocket, in as much as a test needs it: whole messages, pings, closing. */
export interface ServerSocket {
  send(message: string | Uint8Array): void
  ping(): void
  close(): void
  /** Ends the connection as a broken network would. */
  cut(): void
  onMessage(listener: (message: {readonly isText: boolean; readonly data: Buffer}) => void): void
  onClose(listener: (how: {readonly clean: boolean}) => void): void
}

const [continuation, textFrame, binaryFrame, closeFrame, pingFrame, pongFrame] = [0, 1, 2, 8, 9, 10]

const frame = (opcode: number, payload: Uint8Array): Buffer => {
  const {length} = payload
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10)
  head[0] = 0x80 | opcode
  if (length < 126) head[1] = length
  else if (length < 65_536) {
    head[1] = 126
    head.writeUInt16BE(length, 2)
  } else {
    head[1] = 127
    head.writeBigUInt64BE(BigInt(length), 2)
  }
  return Buffer.concat([head, payload])
}

interface Frame {
  readonly opcode: number
  readonly isLast: boolean
  readonly payload: Buffer
  readonly rest: Buffer
}

const parse = (bytes: Buffer): Frame | undefined => {
  if (bytes.length < 2) return undefined
  const short = bytes[1]! & 0x7f
  const head = short === 126 ? 4 : short === 127 ? 10 : 2
  const start = head + 4
  if (bytes.length < start) return undefined
  const length = short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short
  if (bytes.length < start + length) return undefined
  const mask = bytes.subarray(head, start)
  const payload = Buffer.from(bytes.subarray(start, start + length).map((byte, index) => byte ^ mask[index % 4]!))
  return {opcode: bytes[0]! & 0x0f, isLast: bytes[0]! >= 0x80, payload, rest: bytes.subarray(start + length)}
}

/** Answers an upgrade. */
export const acceptSocket = (request: IncomingMessage, connection: Duplex): ServerSocket => {
  const accept = createHash('sha1').update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
  connection.write(
    ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade', `Sec-WebSocket-Accept: ${accept}`, '', ''].join(
      '\r\n',
    ),
  )
  const messages: ((message: {readonly isText: boolean; readonly data: Buffer}) => void)[] = []
  const closings: ((how: {readonly clean: boolean}) => void)[] = []
  let pending = Buffer.alloc(0)
  let parts: Buffer[] = []
  let kind = binaryFrame
  let clean = false
  const write = (opcode: number, payload: Uint8Array = Buffer.alloc(0)): void => {
    if (connection.writable) connection.write(frame(opcode, payload))
  }
  const take = ({opcode, isLast, payload}: Frame): void => {
    if (opcode === closeFrame) {
      clean = true
      write(closeFrame, payload)
      connection.end()
    } else if (opcode === pingFrame) write(pongFrame, payload)
    else if (opcode !== pongFrame) {
      if (opcode !== continuation) kind = opcode
      parts.push(payload)
      if (!isLast) return
      const data = Buffer.concat(parts)
      parts = []
      for (const listener of messages) listener({isText: kind === textFrame, data})
    }
  }
  connection.on('data', (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk])
    for (let next = parse(pending); next; next = parse(pending)) {
      pending = Buffer.from(next.rest)
      take(next)
    }
  })
  connection.on('error', () => undefined)
  connection.on('close', () => {
    for (const listener of closings) listener({clean})
  })
  return {
    send: (message) => (typeof message === 'string' ? write(textFrame, Buffer.from(message)) : write(binaryFrame, message)),
    ping: () => write(pingFrame, Buffer.from('keepalive')),
    close: () => write(closeFrame, Buffer.from([0x03, 0xe8])),
    cut: () => connection.destroy(),
    onMessage: (listener) => void messages.push(listener),
    onClose: (listener) => void closings.push(listener),
  }
}
