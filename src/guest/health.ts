import type {Duplex} from 'node:stream'
import {setImmediate as nextTurn} from 'node:timers/promises'

import {keepTail, type Tail} from '../host/tail.ts'
import {messageOf} from '../model/errors.ts'
import {programText, shellCommand, shellFromInput} from '../model/guest-program.ts'
import type {ProbeResult} from '../model/health.ts'
import type {Healthcheck, HealthTest} from '../model/health.ts'
import {formatDuration} from '../model/quantity.ts'
import {quote, quoteAll} from '../model/quote.ts'
import {stripControls} from '../model/strip.ts'
import {checkHealth} from './programs/index.ts'
import type {GuestConnection} from './ssh/connection.ts'

export interface ProbeOptions {
  /** Environment of a program that is the test. */
  readonly env?: Readonly<Record<string, string>>
  readonly signal: AbortSignal
}

/**
 * Runs a health check once. A test that takes longer than its timeout is ended, in the guest too, and has failed.
 * @throws VmctlError `vmctl::ssh::connection_lost`; the reason of `signal` when it is aborted
 */
export const probe = async (connection: GuestConnection, check: Healthcheck, options: ProbeOptions): Promise<ProbeResult> => {
  const started = performance.now()
  const deadline = AbortSignal.timeout(check.timeoutMs)
  const signal = AbortSignal.any([options.signal, deadline])
  // As much as Docker keeps.
  const tail = keepTail(4096)
  const outcome = await runTest(connection, check, {...options, signal, tail}).catch((error: unknown) => {
    options.signal.throwIfAborted()
    if (!deadline.aborted) throw error
    return {isGood: false, note: `did not end within ${formatDuration(check.timeoutMs)}`}
  })
  const {note, ...rest} = {note: undefined, ...outcome}
  const output = [stripControls(tail.text()).trimEnd(), note].filter((part) => part !== undefined && part !== '').join('\n')
  return {...rest, output, durationMs: Math.round(performance.now() - started)}
}

interface Outcome {
  readonly isGood: boolean
  readonly exitCode?: number
  readonly note?: string
}

interface TestOptions extends ProbeOptions {
  readonly tail: Tail
}

const runTest = (connection: GuestConnection, check: Healthcheck, options: TestOptions): Promise<Outcome> => {
  const {test} = check
  switch (test.kind) {
    case 'exec':
    case 'shell':
      return runProgram(connection, {test, seconds: Math.ceil(check.timeoutMs / 1000)}, options)
    case 'tcp':
      return reach(connection, {host: 'localhost', port: test.port, signal: options.signal}, async () => ({
        isGood: true,
        note: `port ${test.port} accepts connections`,
      }))
    case 'http':
      return askHttp(connection, new URL(test.url), options)
  }
}

const programOf = (test: Extract<HealthTest, {kind: 'exec' | 'shell'}>, seconds: number, env: Readonly<Record<string, string>>): string =>
  programText(checkHealth, {
    test_words: test.kind === 'exec' ? quoteAll(test.command) : shellCommand(test.line),
    environment: Object.entries(env)
      .map(([name, value]) => `export ${name}=${quote(value)}`)
      .join('\n'),
    vmctl_seconds: seconds,
  })

const runProgram = async (
  connection: GuestConnection,
  {test, seconds}: {readonly test: Extract<HealthTest, {kind: 'exec' | 'shell'}>; readonly seconds: number},
  {env = {}, tail, signal}: TestOptions,
): Promise<Outcome> => {
  // By standard input: what stands in a command line can be seen by every user of the guest.
  const {code, signal: killed} = await connection.exec(shellFromInput('vmctl-health'), {
    stdin: programOf(test, seconds, env),
    onStdout: tail.take,
    onStderr: tail.take,
    signal,
  })
  if (code === null) return {isGood: false, note: `was ended by ${killed ?? 'a signal'}`}
  return {isGood: code === 0, exitCode: code}
}

/** Does something with a connection that the guest's sshd makes for us, so that it is made from inside the guest. */
const reach = async (
  connection: GuestConnection,
  {host, port, signal}: {readonly host: string; readonly port: number; readonly signal: AbortSignal},
  action: (stream: Duplex) => Promise<Outcome>,
): Promise<Outcome> => {
  // Both, because a server may listen on one of them only, and a small guest may not know the name.
  const addresses = host === 'localhost' ? ['127.0.0.1', '::1'] : [host]
  const failures: string[] = []
  for (const address of addresses) {
    let stream: Duplex
    try {
      stream = await connection.forward(address, port, {signal})
    } catch (error) {
      signal.throwIfAborted()
      failures.push(messageOf(error))
      continue
    }
    try {
      return await action(stream)
    } finally {
      stream.destroy()
    }
  }
  // A connection that is lost says nothing about the port.
  await (connection.hasShell ? connection.exec('true', {signal}) : Promise.race([connection.closed, nextTurn()]))
  return {isGood: false, note: failures[0] ?? 'no address'}
}

const askHttp = (connection: GuestConnection, url: URL, {signal}: TestOptions): Promise<Outcome> => {
  const isTls = url.protocol === 'https:'
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  const port = Number(url.port) || (isTls ? 443 : 80)
  return reach(connection, {host, port, signal}, async (plain) => {
    const stream = isTls ? await secured(plain, host) : plain
    stream.write(
      `GET ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\nUser-Agent: vmctl\r\nAccept: */*\r\nConnection: close\r\n\r\n`,
    )
    const line = await firstLine(stream, signal)
    const status = Number(/^HTTP\/\d(?:\.\d)? (\d{3})\b/.exec(line)?.[1])
    if (Number.isNaN(status))
      return {isGood: false, note: line === '' ? 'the server closed the connection without an answer' : 'this is not an HTTP server'}
    return {isGood: status < 400, note: stripControls(line)}
  })
}

/** The certificate is not checked: that of a guest is often its own, and the way to it is the SSH connection. */
const secured = async (stream: Duplex, host: string): Promise<Duplex> => {
  const {connect} = await import('node:tls')
  return connect({socket: stream, rejectUnauthorized: false, ...(/[^\d.:]/.test(host) && {servername: host})})
}

const lineLimit = 1024

const firstLine = (stream: Duplex, signal: AbortSignal): Promise<string> =>
  new Promise((resolve, reject) => {
    let text = ''
    const onAbort = (): void => {
      stream.destroy()
      reject(signal.reason)
    }
    signal.addEventListener('abort', onAbort, {once: true})
    const settle = (action: () => void): void => {
      signal.removeEventListener('abort', onAbort)
      action()
    }
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      const end = text.indexOf('\n')
      if (end !== -1 || text.length > lineLimit) settle(() => resolve(text.slice(0, end === -1 ? lineLimit : end).trimEnd()))
    })
    stream.on('error', (error) => settle(() => reject(error)))
    // A server that has said all may keep its side of the connection open for ours.
    stream.on('end', () => settle(() => resolve(text.trimEnd())))
    stream.on('close', () => settle(() => resolve(text.trimEnd())))
  })
