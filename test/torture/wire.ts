import {once} from 'node:events'
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {type AddressInfo, connect, createServer, type Socket} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import type {TestSshd} from '../support/sshd.ts'
import {type Ended, makeDisk, privateEnvironment, startProgram, vmctlProgram} from '../support/vmctl-process.ts'

/** A port on 127.0.0.1 that hands its connections on to others, and can cut them after so many bytes. */
export class Wire implements AsyncDisposable {
  /** The port that the n-th connection, from 0, leads to. */
  route: (connection: number) => number
  /** Bytes in both directions since the last reset. */
  bytes = 0
  connections = 0
  #cutAt = Infinity
  readonly #sockets = new Set<Socket>()
  readonly #server = createServer((socket) => this.#join(socket))

  constructor(route: Wire['route']) {
    this.route = route
  }

  static async to(route: Wire['route']): Promise<Wire> {
    const wire = new Wire(route)
    wire.#server.listen(0, '127.0.0.1')
    await once(wire.#server, 'listening')
    return wire
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Counts anew, and cuts all connections once, when that many bytes have gone through. */
  reset(cutAt = Infinity): void {
    this.bytes = 0
    this.connections = 0
    this.#cutAt = cutAt
  }

  #join(near: Socket): void {
    const far = connect(this.route(this.connections++), '127.0.0.1')
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(from)
      from.on('error', () => undefined)
      from.on('close', () => {
        this.#sockets.delete(from)
        to.destroy()
      })
      from.on('data', (chunk: Buffer) => {
        const room = this.#cutAt - this.bytes
        this.bytes += chunk.length
        const isCut = chunk.length >= room
        to.write(isCut ? chunk.subarray(0, Math.max(0, room)) : chunk)
        if (!isCut) return
        this.#cutAt = Infinity
        for (const socket of this.#sockets) socket.destroy()
      })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }
}

/** What was tried, how often, and what went wrong. */
export interface Tried {
  readonly what: string
  readonly trials: number
  readonly wrong: readonly string[]
}

/** A project whose VM `web` is a real SSH server behind a wire. */
export class WiredProject implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'vmctl-wire-'))
  readonly #wire: Wire
  readonly #sshd: TestSshd

  constructor(wire: Wire, sshd: TestSshd) {
    this.#wire = wire
    this.#sshd = sshd
    makeDisk(this.path('disk.qcow2'))
  }

  path(name: string): string {
    return join(this.directory, name)
  }

  write(name: string, content: string): void {
    writeFileSync(this.path(name), content)
  }

  vmfile(steps: string): void {
    const {user, keyPath} = this.#sshd
    this.write('VMFile.kdl', `vm "web" {\n image "disk.qcow2"\n ssh { user "${user}"; private-key "${keyPath}"; }\n${steps}\n}\n`)
  }

  run(...args: readonly string[]): Promise<Ended> {
    const env = privateEnvironment(this.directory, {
      VMCTL_BACKEND: 'noop',
      VMCTL_NOOP_SSH: `127.0.0.1:${this.#wire.port}`,
      VMCTL_STATE_DIR: this.path('state'),
    })
    return startProgram([process.execPath, vmctlProgram, ...args], {cwd: this.directory, env}).outcome
  }

  async ok(...args: readonly string[]): Promise<Ended> {
    const outcome = await this.run(...args)
    if (outcome.exitCode !== 0) throw new Error(`vmctl ${args.join(' ')} ended with ${outcome.exitCode}: ${outcome.stderr}`)
    return outcome
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, {recursive: true, force: true})
  }
}
