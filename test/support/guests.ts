import {spawn} from 'node:child_process'
import {randomUUID} from 'node:crypto'
import {once} from 'node:events'
import type {Socket} from 'node:net'
import {Readable} from 'node:stream'
import {pipeline} from 'node:stream/promises'

import {asGuest, openSession} from '../../src/engine/reach/session.ts'
import {sshCandidates} from '../../src/guest/ssh/candidates.ts'
import {connect} from '../../src/guest/ssh/ssh.ts'
import type {Guest, GuestExecOptions, GuestExit, StepContext} from '../../src/provision/provisioner.ts'
import {makeVm} from './builders.ts'
import type {TestSshd} from './sshd.ts'

export interface CuttableSession extends Disposable {
  readonly guest: () => Promise<Guest>
  /** Ends the connection of now as a broken network would; resolves when this side knows it. */
  cut(): void
  readonly connections: number
}

/** The connection that vmctl makes for provisioning, to a real sshd, with a knife at the wire. */
export const openSshGuest = (sshd: TestSshd): CuttableSession => {
  let socket: Socket | undefined
  let connections = 0
  const session = openSession(async () => {
    socket = await sshd.dial()
    connections++
    return asGuest(
      await connect({stream: socket, user: sshd.user, auth: await sshCandidates({explicit: sshd.keyPath}), verifyHostKey: () => true}),
    )
  })
  return {
    guest: session.guest,
    cut: () => socket?.destroy(),
    get connections() {
      return connections
    },
    [Symbol.dispose]: () => session[Symbol.dispose](),
  }
}

/** A guest without SSH: the same command lines, run by the first `sh` of the given PATH. */
export const localGuest = (path: string, home: string): Guest => ({
  exec: (command, options = {}) => execute(['sh', '-c', command], {PATH: path, HOME: home, SHELL: '/bin/sh'}, options),
  upload: () => Promise.reject(new Error('this guest takes no files')),
})

const execute = async (
  [program = '', ...args]: readonly string[],
  env: NodeJS.ProcessEnv,
  options: GuestExecOptions,
): Promise<GuestExit> => {
  const child = spawn(program, args, {env, stdio: 'pipe', ...(options.signal && {signal: options.signal})})
  const {stdin = ''} = options
  const input = pipeline(stdin instanceof Readable ? stdin : Readable.from([stdin]), child.stdin).catch(() => undefined)
  const take = async (stream: Readable, receive: GuestExecOptions['onStdout']): Promise<void> => {
    for await (const chunk of stream) await receive?.(chunk)
  }
  const ended = once(child, 'close', options.signal && {signal: options.signal}).catch((error: unknown) => {
    options.signal?.throwIfAborted()
    throw error
  })
  child.on('error', () => undefined)
  await Promise.all([take(child.stdout, options.onStdout), take(child.stderr, options.onStderr), ended, input])
  return {code: child.exitCode, signal: child.signalCode}
}

export interface RecordedContext extends StepContext {
  /** What was printed so far. */
  readonly printed: {stdout: Buffer; stderr: Buffer}
  /** What was remembered, the last one last. */
  readonly remembered: unknown[]
  /** Runs what was put off until the result is on record. */
  tidy(): Promise<void>
}

/** What a provisioner gets for one step, with everything that it does to it recorded. */
export const makeContext = (
  guest: () => Promise<Guest>,
  change: {
    env?: StepContext['env']
    memory?: unknown
    delivered?: StepContext['delivered']
    signal?: AbortSignal
    step?: number
    vmId?: string
    output?: StepContext['output']
    onMemory?: (memory: unknown) => void
  } = {},
): RecordedContext => {
  const chunks: Record<'stdout' | 'stderr', Uint8Array[]> = {stdout: [], stderr: []}
  const remembered: unknown[] = []
  const afterwards: (() => Promise<void>)[] = []
  return {
    // Of its own, because a step tidies up what earlier steps of the same VM have left.
    vm: makeVm({id: change.vmId ?? randomUUID()}),
    step: change.step ?? 1,
    guest,
    env: change.env ?? {},
    memory: change.memory,
    delivered: change.delivered ?? {stdout: 0, stderr: 0},
    signal: change.signal ?? new AbortController().signal,
    remembered,
    async output(stream, chunk) {
      chunks[stream].push(Buffer.from(chunk))
      await change.output?.(stream, chunk)
    },
    async remember(memory) {
      remembered.push(structuredClone(memory))
      change.onMemory?.(memory)
    },
    afterwards: (action) => void afterwards.push(action),
    get printed() {
      return {stdout: Buffer.concat(chunks.stdout), stderr: Buffer.concat(chunks.stderr)}
    },
    tidy: async () => void (await Promise.allSettled(afterwards.map((action) => action()))),
  }
}
