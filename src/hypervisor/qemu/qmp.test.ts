import {once} from 'node:events'
import {createServer, type Socket} from 'node:net'
import {join} from 'node:path'

import {expect, onTestFinished, test} from 'vitest'

import {temporaryDirectory} from '../../../test/support/builders.ts'
import {connectQmp, type QmpClient, type QmpEvent} from './qmp.ts'

const greeting = '{"QMP": {"version": {"qemu": {"major": 7}}, "capabilities": []}}\r\n'

interface Command {
  readonly execute: string
  readonly id: number
  readonly arguments?: Readonly<Record<string, unknown>>
}

type Answer = (command: Command, socket: Socket) => void

const reply = (id: unknown, value: unknown = {}): string => `${JSON.stringify({return: value, id})}\r\n`

/** A server on a real Unix socket; it greets and negotiates, and the rest is up to the test. */
const serve = async (answer: Answer, {greets = greeting}: {greets?: string} = {}): Promise<string> => {
  const path = join(temporaryDirectory(), 'qmp.sock')
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.write(greets)
    let rest = ''
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) {
        const command: Command = JSON.parse(line)
        if (command.execute === 'qmp_capabilities') socket.write(reply(command.id))
        else answer(command, socket)
      }
    })
  }).listen(path)
  await once(server, 'listening')
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return path
}

/** Milliseconds that no answer takes, however busy the machine is; the test itself would be over by then. */
const endlessMs = 3_600_000

/** A client that waits for its answers as long as it takes, where the test does not say otherwise. */
const connect = async (path: string): Promise<QmpClient> => {
  const client = await connectQmp(path, {timeoutMs: endlessMs})
  onTestFinished(() => client[Symbol.dispose]())
  return {...client, execute: (command, args, timeoutMs = endlessMs) => client.execute(command, args, timeoutMs)}
}

test('commands carry their arguments and get their own answer', async () => {
  const seen: Command[] = []
  const client = await connect(
    await serve((command, socket) => {
      seen.push(command)
      socket.write(reply(command.id, {status: command.execute}))
    }),
  )
  expect(await client.execute('query-status')).toEqual({status: 'query-status'})
  expect(await client.execute('eject', {id: 'seed-drive', force: true})).toEqual({status: 'eject'})
  expect(seen.map(({execute, arguments: args}) => [execute, args])).toEqual([
    ['query-status', undefined],
    ['eject', {id: 'seed-drive', force: true}],
  ])
})

test('two commands in flight are told apart, whichever is answered first', async () => {
  const waiting: Command[] = []
  const client = await connect(
    await serve((command, socket) => {
      waiting.push(command)
      if (waiting.length === 2) for (const {id, execute} of waiting.toReversed()) socket.write(reply(id, execute))
    }),
  )
  expect(await Promise.all([client.execute('one'), client.execute('two')])).toEqual(['one', 'two'])
})

test('a refusal says why', async () => {
  const client = await connect(
    await serve(({id}, socket) => socket.write(`${JSON.stringify({error: {class: 'GenericError', desc: 'no such node'}, id})}\n`)),
  )
  await expect(client.execute('x')).rejects.toMatchObject({
    code: 'vmctl::qemu::qmp_command_failed',
    message: 'QEMU refused: no such node',
    details: {class: 'GenericError'},
  })
})

test('events before, between and behind replies reach the listeners, and are no replies', async () => {
  const event = (name: string): string => `${JSON.stringify({event: name, data: {n: 1}, timestamp: {seconds: 1}})}\n`
  const client = await connect(
    await serve(({id}, socket) => socket.write(event('RESUME') + reply(id, 'done') + event('SHUTDOWN')), {
      greets: event('EARLY') + greeting + event('STOP'),
    }),
  )
  const events: QmpEvent[] = []
  const last = Promise.withResolvers<void>()
  client.onEvent((one) => {
    events.push(one)
    if (one.event === 'SHUTDOWN') last.resolve()
  })
  expect(await client.execute('x')).toBe('done')
  await last.promise
  expect(events.map(({event: name, data}) => [name, data])).toEqual([
    ['RESUME', {n: 1}],
    ['SHUTDOWN', {n: 1}],
  ])
})

test('a reply to a command that was never given, or without an id, is not taken for ours', async () => {
  const client = await connect(
    await serve(({id}, socket) =>
      socket.write(reply(id + 1000, 'wrong') + reply('x', 'wrong') + '{"return": "wrong"}\n' + reply(id, 'right')),
    ),
  )
  expect(await client.execute('x')).toBe('right')
})

test('an answer that comes too late fails its command, and does not disturb the next one', async () => {
  let late = ''
  const client = await connect(
    await serve(({id, execute}, socket) => {
      if (execute === 'slow') late = reply(id, 'late')
      else socket.write(late + reply(id, 'right'))
    }),
  )
  await expect(client.execute('slow', undefined, 30)).rejects.toMatchObject({
    code: 'vmctl::qemu::qmp_command_failed',
    message: 'QEMU did not answer slow within 30 ms.',
  })
  expect(await client.execute('next')).toBe('right')
})

test('lines that come in pieces, in the middle of a character too, are put together', async () => {
  const client = await connect(
    await serve(({id}, socket) => {
      const bytes = Buffer.from(reply(id, 'äöü→🙂'))
      const write = (at: number): void => {
        socket.write(bytes.subarray(at, at + 1))
        if (at + 1 < bytes.length) setImmediate(write, at + 1)
      }
      write(0)
    }),
  )
  expect(await client.execute('x')).toBe('äöü→🙂')
})

test('a huge reply is taken, one without end is not', async () => {
  const big = 'x'.repeat(3 * 2 ** 20)
  const client = await connect(
    await serve(({id, execute}, socket) => {
      if (execute === 'big') socket.write(reply(id, big))
      else for (let count = 0; count < 100; count++) socket.write('y'.repeat(2 ** 20))
    }),
  )
  expect(await client.execute('big')).toBe(big)
  await expect(client.execute('endless')).rejects.toMatchObject({message: 'QEMU closed its control connection.'})
  await client.closed
})

test.each(['garbage\n', '[1]x\n', '{"return"\n', '\u0000\u0001\n', '17\n'])(
  'garbage (%j) ends the connection instead of hanging',
  async (garbage) => {
    const client = await connect(await serve((_, socket) => socket.write(garbage)))
    await expect(client.execute('x')).rejects.toMatchObject({code: 'vmctl::qemu::qmp_command_failed'})
    await client.closed
  },
)

test('a connection that QEMU closes fails what is in flight and what comes after', async () => {
  const client = await connect(await serve((_, socket) => socket.destroy()))
  const [left, right] = await Promise.allSettled([client.execute('quit'), client.execute('other')])
  expect([left, right]).toEqual(
    Array.from({length: 2}, () => ({
      status: 'rejected',
      reason: expect.objectContaining({message: 'QEMU closed its control connection.'}),
    })),
  )
  await client.closed
  await expect(client.execute('x')).rejects.toMatchObject({code: 'vmctl::qemu::qmp_command_failed'})
})

test('a client that is let go of fails what is in flight', async () => {
  const client = await connect(await serve(() => undefined))
  const running = client.execute('x')
  client[Symbol.dispose]()
  await expect(running).rejects.toMatchObject({code: 'vmctl::qemu::qmp_command_failed'})
  await client.closed
})

test('a monitor that serves somebody else never greets: the deadline ends the wait', async () => {
  const path = await serve(() => undefined, {greets: ''})
  const giveUp = (timeoutMs: number): Promise<unknown> => connectQmp(path, {timeoutMs}).catch((caught: unknown) => caught)
  let timeoutMs = 50
  let error = await giveUp(timeoutMs)
  // On a busy machine the connection alone may take that long.
  while (error instanceof Error && error.message.startsWith('Cannot connect')) error = await giveUp((timeoutMs *= 2))
  expect(error).toMatchObject({
    code: 'vmctl::qemu::qmp_connect_failed',
    message: `QEMU does not answer on ${path}: no answer within ${timeoutMs} ms`,
  })
})

test('no socket, a socket without a server, and a server that hangs up are told with the path', async () => {
  const missing = join(temporaryDirectory(), 'none.sock')
  await expect(connectQmp(missing, {timeoutMs: endlessMs})).rejects.toMatchObject({
    code: 'vmctl::qemu::qmp_connect_failed',
    message: expect.stringContaining(missing),
  })
  const path = join(temporaryDirectory(), 'qmp.sock')
  const server = createServer((socket) => socket.end()).listen(path)
  await once(server, 'listening')
  await expect(connectQmp(path, {timeoutMs: endlessMs})).rejects.toMatchObject({
    code: 'vmctl::qemu::qmp_connect_failed',
    message: expect.stringContaining(path),
  })
  server.close()
})

test('an abort is thrown as it is', async () => {
  const reason = new Error('enough')
  await expect(connectQmp(join(temporaryDirectory(), 'none.sock'), {timeoutMs: endlessMs, signal: AbortSignal.abort(reason)})).rejects.toBe(
    reason,
  )
  const abort = new AbortController()
  const waiting = connectQmp(await serve(() => undefined, {greets: ''}), {timeoutMs: endlessMs, signal: abort.signal})
  setTimeout(() => abort.abort(reason), 20)
  await expect(waiting).rejects.toBe(reason)
})
