import {spawn, spawnSync} from 'node:child_process'
import {once} from 'node:events'
import {chmod, mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises'
import {createServer, type Server, type Socket} from 'node:net'
import {tmpdir, userInfo} from 'node:os'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'

import {generateKeyPair, type KeyPair} from '../../src/guest/keys/keys.ts'
import {connectTcp} from '../../src/host/sockets.ts'
import {missingProgram} from './programs.ts'

/** A real OpenSSH server on 127.0.0.1 with its own directory, keys and port. */
export interface TestSshd extends AsyncDisposable {
  readonly port: number
  readonly user: string
  readonly directory: string
  readonly hostKey: KeyPair
  /** The key pair that may log in; the private key is also in `keyPath`. */
  readonly key: KeyPair
  readonly keyPath: string
  readonly pid: number
  dial(): Promise<Socket>
  /** The processes that serve connections now: privileged monitors and the unprivileged ones. */
  sessions(): readonly number[]
  /** The last 10,000 characters of what it says about connections. */
  said(): string
}

const program = '/usr/sbin/sshd'

/** Why tests against sshd cannot run here; undefined when they can. Under CI a missing program fails the tests. */
export const sshdMissing = (): string | undefined => missingProgram(program, ['-V'])

export interface SshdOptions {
  readonly hostKey?: KeyPair
  readonly config?: readonly string[]
  readonly authorize?: readonly string[]
  /** Words before the server's own, of programs that execute it: `unshare --mount …`. */
  readonly prefix?: readonly string[]
}

/** Starts a server on a free port; on another one when somebody has taken that meanwhile. */
export const startSshd = async (options: SshdOptions = {}): Promise<TestSshd> => {
  for (let tries = 1; ; tries++) {
    try {
      return await startOnce(options)
    } catch (error) {
      if (tries === 5 || !String(error).includes('Address already in use')) throw error
    }
  }
}

const startOnce = async (options: SshdOptions): Promise<TestSshd> => {
  const directory = await mkdtemp(join(tmpdir(), 'vmctl-sshd-'))
  const hostKey = options.hostKey ?? generateKeyPair('host')
  const key = generateKeyPair('user')
  const port = await freePort()
  const keyPath = join(directory, 'id_ed25519')
  await writeFile(join(directory, 'host_key'), hostKey.privateKey, {mode: 0o600})
  await writeFile(keyPath, key.privateKey, {mode: 0o600})
  await writeFile(join(directory, 'authorized_keys'), [key.publicKey, ...(options.authorize ?? []), ''].join('\n'), {mode: 0o600})
  await chmod(directory, 0o700)
  const config = [
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    `HostKey ${directory}/host_key`,
    `AuthorizedKeysFile ${directory}/authorized_keys`,
    `PidFile ${directory}/pid`,
    'UsePAM no',
    'StrictModes no',
    'PermitRootLogin yes',
    'PasswordAuthentication no',
    'KbdInteractiveAuthentication no',
    // The shell must not read the start-up files of whoever runs the tests.
    `SetEnv HOME=${directory}`,
    ...(options.config ?? []),
    '',
  ]
  await writeFile(join(directory, 'config'), config.join('\n'))
  // Root's sshd wants its privilege separation directory even when nobody else ever made it.
  if (process.getuid?.() === 0) await mkdir('/run/sshd', {recursive: true, mode: 0o755})
  const words = [...(options.prefix ?? []), program, '-D', '-e', '-f', join(directory, 'config')]
  const child = spawn(words[0] ?? program, words.slice(1), {stdio: ['ignore', 'ignore', 'pipe']})
  let log = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (log = (log + text).slice(-10_000)))
  const {pid} = child
  if (pid === undefined) throw new Error(`${program} did not start`)
  const ended = once(child, 'exit')
  for (let attempt = 0; !log.includes('Server listening'); attempt++) {
    if (child.exitCode !== null || attempt > 1500) throw new Error(`sshd did not start: ${log}`)
    await sleep(20)
  }
  return {
    port,
    user: userInfo().username,
    directory,
    hostKey,
    key,
    keyPath,
    pid,
    dial: () => dialPort(port),
    sessions: () => descendants(pid),
    said: () => log,
    async [Symbol.asyncDispose]() {
      for (const one of [...descendants(pid), pid]) endProcess(one)
      if (child.exitCode === null && child.signalCode === null) await ended
      await rm(directory, {recursive: true, force: true})
    },
  }
}

/** A TCP server on 127.0.0.1 that is not sshd. */
export interface FakeServer extends AsyncDisposable {
  readonly port: number
  dial(): Promise<Socket>
}

export const fakeServer = async (onConnection: (socket: Socket) => void): Promise<FakeServer> => {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket))
    onConnection(socket)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const port = portOf(server)
  return {
    port,
    dial: () => dialPort(port),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

/** As the backends do it. */
export const dialPort = (port: number): Promise<Socket> => connectTcp('127.0.0.1', port, new AbortController().signal)

const portOf = (server: Server): number => {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

export const endProcess = (pid: number): void => {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended by itself.
  }
}

const descendants = (pid: number): readonly number[] => {
  const children = spawnSync('pgrep', ['-P', String(pid)], {encoding: 'utf8'})
    .stdout.split('\n')
    .filter(Boolean)
    .map(Number)
  return children.flatMap((child) => [...descendants(child), child])
}

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const port = portOf(server)
  server.close()
  await once(server, 'close')
  return port
}
