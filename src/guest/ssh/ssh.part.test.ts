import {execFileSync, spawn} from 'node:child_process'
import {createHash} from 'node:crypto'
import {once} from 'node:events'
import {writeFile} from 'node:fs/promises'
import type {Socket} from 'node:net'
import {join} from 'node:path'
import {Readable, Writable} from 'node:stream'
import {setImmediate as nextTurn, setTimeout as sleep} from 'node:timers/promises'

import {afterAll, beforeAll, expect, test} from 'vitest'

import {describeUnless, missingProgram, needsElevation, testUnless} from '../../../test/support/programs.ts'
import {endProcess, fakeServer, sshdMissing, startSshd, type TestSshd} from '../../../test/support/sshd.ts'
import {type Candidate, sshCandidates} from './candidates.ts'
import {exec, execStreaming} from '../commands.ts'
import {fingerprint, generateKeyPair} from '../keys/keys.ts'
import {connect, type ConnectOptions, type GuestConnection} from './ssh.ts'
import {parsePublicKeyLine} from '../../model/public-key.ts'

const missing = sshdMissing()

describeUnless(missing)('a real sshd', () => {
  let sshd: TestSshd
  let auth: readonly Candidate[]
  let guest: GuestConnection
  const options = async (change: Partial<ConnectOptions> = {}): Promise<ConnectOptions> => ({
    stream: await sshd.dial(),
    user: sshd.user,
    auth,
    verifyHostKey: (key, type) => type === 'ssh-ed25519' && parsePublicKeyLine(sshd.hostKey.publicKey)?.blob.equals(key) === true,
    ...change,
  })
  beforeAll(async () => {
    sshd = await startSshd()
    auth = await sshCandidates({explicit: sshd.keyPath})
    guest = await connect(await options())
  })
  afterAll(async () => {
    guest.close()
    await sshd[Symbol.asyncDispose]()
  })

  test('the stages are told in order, and Nagle is off', async () => {
    const stages: string[] = []
    const stream = await sshd.dial()
    const connection = await connect(await options({stream, onStage: (stage, detail) => stages.push(`${stage} ${detail}`)}))
    expect(stages).toEqual([
      expect.stringMatching(/^banner SSH-2\.0-OpenSSH/),
      `host-key ${sshd.hostKey.publicKey.split(' ').slice(0, 2).join(' ')}`,
      `authentication ${sshd.keyPath} (${fingerprint(sshd.key.publicKey)})`,
    ])
    expect(connection.hostKey).toBe(sshd.hostKey.publicKey.split(' ').slice(0, 2).join(' '))
    expect(hasNoDelay(stream)).toBe(true)
    connection.close()
    await expect(connection.closed).rejects.toMatchObject({
      code: 'vmctl::ssh::connection_lost',
      message: expect.stringContaining('was closed'),
    })
  })

  test('exit statuses and signals are told apart', async () => {
    expect(await guest.exec('exit 0')).toEqual({code: 0, signal: null})
    expect(await guest.exec('exit 42')).toEqual({code: 42, signal: null})
    expect(await guest.exec('exit 255')).toEqual({code: 255, signal: null})
    expect(await guest.exec('kill -TERM $$')).toEqual({code: null, signal: 'SIGTERM'})
    expect(await guest.exec('kill -KILL $$')).toEqual({code: null, signal: 'SIGKILL'})
  })

  test('standard input is text, bytes or a stream, and ends', async () => {
    expect(await exec(guest, 'cat; echo done')).toMatchObject({stdout: 'done\n'})
    expect(await exec(guest, 'cat', {stdin: 'text ä'})).toMatchObject({stdout: 'text ä'})
    expect(await exec(guest, 'wc -c', {stdin: Buffer.alloc(5_000_000)})).toMatchObject({stdout: '5000000\n'})
    expect(await exec(guest, 'wc -c', {stdin: Readable.from([Buffer.alloc(3_000_000), Buffer.alloc(10)])})).toMatchObject({
      stdout: '3000010\n',
    })
    // A command that does not read its input is not waited for.
    expect(await exec(guest, 'exit 3', {stdin: Readable.from([Buffer.alloc(5_000_000)])})).toMatchObject({exitCode: 3})
    await expect(
      exec(guest, 'cat', {
        stdin: new Readable({
          read: (): never => {
            throw new Error('broken input')
          },
        }),
      }),
    ).rejects.toThrow('broken input')
  })

  test('50 commands at once, more than sshd admits, all give their own result', async () => {
    const results = await Promise.all(
      Array.from({length: 50}, (_, index) => exec(guest, `echo ${index}; echo e${index} >&2; exit ${index}`)),
    )
    expect(results.map(({stdout, stderr, exitCode}) => `${stdout} ${stderr} ${exitCode}`)).toEqual(
      results.map((_, index) => `${index}\n e${index}\n ${index}`),
    )
  })

  test('64 MB on both streams arrive whole, in bounded memory', async () => {
    const bytes = 64e6
    const lines = {stdout: 'a line of text 0123456789\n', stderr: 'another one\n'}
    const source = (name: 'stdout' | 'stderr'): string => `yes '${lines[name].trim()}' | head -c ${bytes}`
    const hashes = {stdout: createHash('sha256'), stderr: createHash('sha256')}
    const before = process.memoryUsage().rss
    let peak = 0
    let total = 0
    const take = (name: 'stdout' | 'stderr') => (chunk: Buffer) => {
      hashes[name].update(chunk)
      total += chunk.length
      peak = Math.max(peak, process.memoryUsage.rss())
    }
    const exit = await guest.exec(`(${source('stdout')}) & (${source('stderr')}) >&2; wait`, {
      onStdout: take('stdout'),
      onStderr: take('stderr'),
    })
    expect(exit).toEqual({code: 0, signal: null})
    expect(total).toBe(2 * bytes)
    for (const name of ['stdout', 'stderr'] as const) {
      expect(hashes[name].digest('hex')).toBe(createHash('sha256').update(Buffer.alloc(bytes, lines[name])).digest('hex'))
    }
    expect((peak - before) / 2 ** 20).toBeLessThan(96)
  })

  test.each(['aes128-gcm@openssh.com', 'aes256-ctr', 'chacha20-poly1305@openssh.com'])(
    'output by %s stays as it was, however long it is kept',
    async (cipher) => {
      await using other = await startSshd({hostKey: sshd.hostKey, config: [`Ciphers ${cipher}`]})
      // Reads end anywhere in a packet, and between it and its code for authentication.
      let pieceBytes = 4093
      const relay = async (near: Socket): Promise<void> => {
        const far = await other.dial()
        near.pipe(far)
        for await (const chunk of far as AsyncIterable<Buffer>) {
          for (let at = 0; at < chunk.length; at += pieceBytes) {
            near.write(chunk.subarray(at, at + pieceBytes))
            await nextTurn()
          }
        }
      }
      await using wire = await fakeServer((near) => void relay(near))
      const connection = await connect(
        await options({stream: await wire.dial(), auth: await sshCandidates({explicit: other.keyPath}), user: other.user}),
      )
      const printed = async (command: string): Promise<string> => {
        const kept: Buffer[] = []
        await connection.exec(command, {onStdout: (chunk) => void kept.push(chunk)})
        return Buffer.concat(kept).toString('latin1')
      }
      const counted = (count: number): string => Array.from({length: count}, (_, index) => `${index + 1}\n`).join('')
      expect(await printed('seq 1 1000000')).toBe(counted(1_000_000))
      pieceBytes = 61
      expect(await printed('i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo $i; done')).toBe(counted(3000))
      connection.close()
    },
  )

  test('a slow consumer stops the command, also while the other stream goes on', async () => {
    const gate = Promise.withResolvers<void>()
    let received = 0
    let blocked = true
    // Large output on one stream and a little on the other, in turns: ssh2 alone would reopen the shared window.
    const script = `i=0; while [ $i -lt 60 ]; do head -c 1000000 /dev/zero; echo x >&2; i=$((i+1)); done`
    const running = guest.exec(script, {
      onStdout: async (chunk) => {
        received += chunk.length
        if (blocked) await gate.promise
      },
      onStderr: () => undefined,
    })
    const before = process.memoryUsage().rss
    await sleep(600)
    expect(received).toBeLessThan(4 * 2 ** 20)
    expect((process.memoryUsage().rss - before) / 2 ** 20).toBeLessThan(32)
    // The connection is not blocked for others.
    expect(await exec(guest, 'echo free')).toMatchObject({stdout: 'free\n'})
    blocked = false
    gate.resolve()
    expect(await running).toEqual({code: 0, signal: null})
    expect(received).toBe(60_000_000)
  })

  test('a consumer that fails ends the command with its error', async () => {
    await expect(
      guest.exec('yes', {
        onStdout: () => {
          throw new Error('disk full')
        },
      }),
    ).rejects.toThrow('disk full')
    await expect(guest.exec('yes', {onStdout: () => Promise.reject(new Error('disk full'))})).rejects.toThrow('disk full')
    await expect(exec(guest, 'yes', {limitBytes: 100_000})).rejects.toMatchObject({
      code: 'vmctl::ssh::failed',
      message: expect.stringContaining('more than 100000 bytes'),
    })
  })

  test('a child in the background that holds the output is not waited for', async () => {
    const connection = await connect(await options({exitGraceMs: 200}))
    const {stdout, exitCode} = await exec(connection, 'sleep 600 & echo $!; exit 7')
    expect(exitCode).toBe(7)
    expect(stdout).toMatch(/^\d+\n$/)
    // Throws when the child is no more: it has outlived the command, and still holds the output.
    expect(process.kill(Number(stdout), 'SIGKILL')).toBe(true)
    connection.close()
  })

  test('an abort gives the command up at once', async () => {
    const abort = new AbortController()
    const running = guest.exec('sleep 6', {signal: abort.signal})
    setTimeout(() => abort.abort(new Error('enough')), 50)
    await expect(running).rejects.toThrow('enough')
    await expect(guest.exec('true', {signal: abort.signal})).rejects.toThrow('enough')
    expect(await guest.exec('true')).toEqual({code: 0, signal: null})
  })

  test('output is passed on to streams, and its end is kept', async () => {
    const written: string[] = []
    const sink = (name: string): Writable =>
      new Writable({
        highWaterMark: 2,
        write(chunk: Buffer, _encoding, done) {
          written.push(`${name} ${chunk.toString()}`)
          setTimeout(done, 5)
        },
      })
    const result = await execStreaming(guest, 'echo out; sleep 0.1; echo err >&2; exit 2', {stdout: sink('out'), stderr: sink('err')})
    expect(written).toEqual(['out out\n', 'err err\n'])
    expect(result).toEqual({stdout: 'out\n', stderr: 'err\n', exitCode: 2, signal: null})
  })

  test('a session that is killed in the middle is lost, never a success', async () => {
    const connection = await connect(await options())
    const own = await exec(connection, 'echo $PPID')
    const running = connection.exec('echo begun; sleep 6', {onStdout: () => endProcess(Number(own.stdout))})
    await expect(running).rejects.toMatchObject({code: 'vmctl::ssh::connection_lost'})
    await expect(connection.closed).rejects.toMatchObject({code: 'vmctl::ssh::connection_lost'})
    await expect(connection.exec('true')).rejects.toMatchObject({code: 'vmctl::ssh::connection_lost'})
  })

  test('a guest that stops to answer is noticed by the keepalive', async () => {
    const connection = await connect(await options({keepalive: {intervalMs: 100, count: 2}}))
    const own = Number((await exec(connection, 'echo $PPID')).stdout)
    process.kill(own, 'SIGSTOP')
    try {
      await expect(connection.exec('true')).rejects.toMatchObject({code: 'vmctl::ssh::connection_lost'})
    } finally {
      endProcess(own)
    }
  })

  test('a wrong host key is refused before anything is sent to it', async () => {
    const other = generateKeyPair('')
    const refused = connect(await options({verifyHostKey: () => `this VM has ${fingerprint(other.publicKey)}`}))
    await expect(refused).rejects.toMatchObject({
      code: 'vmctl::ssh::host_key_mismatch',
      message: `The host key ${fingerprint(sshd.hostKey.publicKey)} was refused: this VM has ${fingerprint(other.publicKey)}.`,
    })
  })

  test('a refused log-in says for whom and with which keys', async () => {
    await expect(connect(await options({user: 'nobody'}))).rejects.toMatchObject({
      code: 'vmctl::ssh::authentication_failed',
      message: `The guest did not let the user "nobody" in. Tried: ${sshd.keyPath} (${fingerprint(sshd.key.publicKey)}).`,
    })
    const stranger = generateKeyPair('')
    const keys: Candidate[] = [
      {kind: 'key', path: '/keys/broken', pem: 'nonsense', encrypted: false},
      {kind: 'key', path: '/keys/stranger', pem: stranger.privateKey, publicKey: stranger.publicKey, encrypted: false},
      {kind: 'agent', socket: '/nonexistent/agent'},
    ]
    await expect(connect(await options({auth: keys}))).rejects.toMatchObject({
      code: 'vmctl::ssh::authentication_failed',
      message: expect.stringMatching(
        /Tried: \/keys\/stranger \(SHA256:.*\), the keys of ssh-agent\. \/keys\/broken cannot be used: .*Failed to connect to agent/,
      ),
    })
    await expect(connect(await options({auth: [{kind: 'key', path: '/keys/locked', pem: '', encrypted: true}]}))).rejects.toMatchObject({
      message: expect.stringContaining('There was no private key to try. /keys/locked is encrypted.'),
      details: {encrypted: ['/keys/locked']},
    })
    await expect(connect(await options({auth: []}))).rejects.toThrow('There was no private key to try.')
  })

  test('a key behind others that do not fit is found', async () => {
    const strangers = Array.from({length: 3}, (_, index): Candidate => ({
      kind: 'key',
      path: `/k${index}`,
      pem: generateKeyPair('').privateKey,
      encrypted: false,
    }))
    const stages: string[] = []
    const connection = await connect(
      await options({auth: [...strangers, ...auth], onStage: (stage, detail) => stages.push(`${stage} ${detail}`)}),
    )
    expect(stages.at(-1)).toBe(`authentication ${sshd.keyPath} (${fingerprint(sshd.key.publicKey)})`)
    expect(await connection.exec('true')).toEqual({code: 0, signal: null})
    connection.close()
  })

  testUnless(missingProgram('ssh-agent', ['-h']))('the agent stands in for a key, and offers only that one when told so', async () => {
    const socket = join(sshd.directory, 'agent')
    const agent = spawn('ssh-agent', ['-D', '-a', socket], {stdio: ['ignore', 'pipe', 'ignore']})
    try {
      await once(agent.stdout, 'data')
      const env = {...process.env, SSH_AUTH_SOCK: socket}
      const stranger = join(sshd.directory, 'stranger')
      await writeFile(stranger, generateKeyPair('').privateKey, {mode: 0o600})
      for (const path of [stranger, sshd.keyPath]) execFileSync('ssh-add', ['-q', path], {env, stdio: 'ignore'})
      const by = (only?: string): Candidate => ({kind: 'agent', socket, ...(only === undefined ? {} : {only, path: '/locked'})})
      const all = await connect(await options({auth: [by()]}))
      all.close()
      const one = await connect(await options({auth: [by(sshd.key.publicKey)]}))
      one.close()
      await expect(connect(await options({auth: [by(generateKeyPair('').publicKey)]}))).rejects.toThrow('Tried: /locked (by ssh-agent).')
    } finally {
      agent.kill()
    }
  })

  testUnless(needsElevation())('a command as root works where the user is root or may sudo', async () => {
    expect(await exec(guest, `printf '%s' "it's $(id -u)"`, {privileged: true})).toMatchObject({stdout: "it's 0", exitCode: 0})
  })

  test('two servers that are not SSH are told apart', async () => {
    await using silent = await fakeServer(() => undefined)
    await expect(connect(await options({stream: await silent.dial(), greetingTimeoutMs: 100}))).rejects.toMatchObject({
      code: 'vmctl::ssh::unreachable',
      message: 'SSH did not greet within 100 ms.',
    })
    await using web = await fakeServer((socket) => socket.write('HTTP/1.1 400 Bad\u001b[31m Request\r\n\r\n'.padEnd(9000)))
    await expect(connect(await options({stream: await web.dial()}))).rejects.toMatchObject({
      code: 'vmctl::ssh::failed',
      message: expect.stringContaining('does not speak SSH 2: "HTTP/1.1 400 Bad Request'),
    })
    await using hangsUp = await fakeServer((socket) => socket.end())
    await expect(connect(await options({stream: await hangsUp.dial()}))).rejects.toMatchObject({code: 'vmctl::ssh::unreachable'})
    await using half = await fakeServer((socket) => socket.end('SSH-2.0-half\r\n'))
    await expect(connect(await options({stream: await half.dial()}))).rejects.toMatchObject({
      code: 'vmctl::ssh::failed',
      message: expect.stringContaining('key exchange failed'),
    })
    await using stuck = await fakeServer((socket) => socket.write('a line before\r\nSSH-2.0-stuck\r\n'))
    await expect(connect(await options({stream: await stuck.dial(), handshakeTimeoutMs: 100}))).rejects.toMatchObject({
      code: 'vmctl::ssh::unreachable',
      message: expect.stringContaining('took too long'),
    })
  })
})

/** Node keeps whether TCP_NODELAY is set under a private symbol; there is no other way to see it. */
const hasNoDelay = (socket: Socket): unknown => {
  const symbol = Object.getOwnPropertySymbols(socket).find(({description}) => description === 'kSetNoDelay')
  return symbol && Reflect.get(socket, symbol)
}
