import {once} from 'node:events'
import {existsSync, mkdirSync, symlinkSync} from 'node:fs'
import type {AddressInfo} from 'node:net'

import ssh2 from 'ssh2'

import {generateKeyPair} from '../../src/guest/keys/keys.ts'
import {startSshd} from '../support/sshd.ts'
import type {Ended} from '../support/vmctl-process.ts'
import {type Tried, Wire, WiredProject} from './wire.ts'

/** An SSH server with another host key that would let everybody in, and notes whoever asks to be. */
const startImpostor = async () => {
  let asked = 0
  const server = new ssh2.Server({hostKeys: [generateKeyPair('impostor').privateKey]}, (client) => {
    client.on('error', () => undefined)
    client.on('authentication', (context) => {
      asked++
      context.accept()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    /** How many times somebody has begun to log in. */
    asked: () => asked,
    async [Symbol.asyncDispose]() {
      server.close()
      await once(server, 'close')
    },
  }
}

interface Way {
  readonly name: string
  readonly command: readonly string[]
  /** From which connection on, from 0, the impostor answers. */
  readonly from: number
  /** Bytes after which the first connection is cut, so that there is a second. */
  readonly cutAt?: number
  /** Whether the `ssh` program is the one that refuses. */
  readonly bySsh?: boolean
}

const ways: readonly Way[] = [
  {name: 'up', command: ['up'], from: 0},
  {name: 'provision', command: ['provision'], from: 0},
  {name: 'cp in', command: ['cp', 'here', 'web:/tmp/vmctl-impostor'], from: 0},
  {name: 'cp out', command: ['cp', 'web:/etc/hostname', 'there'], from: 0},
  {name: 'ssh', command: ['ssh', 'web'], from: 0},
  {name: 'a command by ssh', command: ['ssh', 'web', '--', 'true'], from: 0},
  // With a key that is named vmctl looks first, and hands over then.
  {name: 'ssh, after the first look', command: ['ssh', 'web', '--key', 'key', '--', 'true'], from: 1, bySsh: true},
  {name: 'provision, after a cut', command: ['provision'], from: 1, cutAt: 9000},
]

const judge = (way: Way, {exitCode, stderr}: Ended): string[] => {
  if (way.bySsh)
    return exitCode === 255 && /host key|HOST IDENTIFICATION/i.test(stderr) ? [] : [`ended with ${exitCode}: ${stderr.slice(-300)}`]
  return exitCode === 6 && stderr.includes('[vmctl::ssh::host_key_mismatch]') ? [] : [`ended with ${exitCode}: ${stderr.slice(-300)}`]
}

/** F31: another SSH server answers on the port of the guest, from the beginning or later; it is refused, and nobody logs in to it. */
export const impostor = {
  id: 'F31',
  async *rows({trials = 104}: {readonly trials?: number | undefined}): AsyncGenerator<Tried> {
    await using sshd = await startSshd()
    await using stranger = await startImpostor()
    await using wire = await Wire.to(() => sshd.port)
    using project = new WiredProject(wire, sshd)
    project.write('here', 'secret')
    symlinkSync(sshd.keyPath, project.path('key'))
    mkdirSync(project.path('guest'))
    const mark = project.path('guest/mark')
    project.vmfile(
      `  provision "shell" { inline "i=0; while [ $i -lt 40 ]; do i=$((i+1)); echo $i; sleep 0.05; done; test ! -e '${mark}'"; }`,
    )
    await project.ok('up')
    for (const way of ways) {
      const rounds = Math.ceil(trials / ways.length)
      const wrong: string[] = []
      for (let round = 0; round < rounds; round++) {
        const found: string[] = []
        // So that `up` has something to do.
        if (way.name === 'up') project.vmfile(`  provision "shell" { inline "echo ${round} >'${mark}'"; }`)
        wire.route = (connection) => (connection >= way.from ? stranger.port : sshd.port)
        wire.reset(way.cutAt)
        const before = stranger.asked()
        found.push(...judge(way, await project.run(...way.command)))
        if (wire.connections <= way.from) found.push('the impostor was never reached')
        if (stranger.asked() !== before) found.push('somebody tried to log in to the impostor')
        if (existsSync(mark)) found.push('the step ran')
        if (existsSync(project.path('there'))) found.push('something was copied')
        wrong.push(...found.map((what) => `round ${round + 1}: ${what}`))
      }
      yield {what: `another SSH server answers: ${way.name}`, trials: rounds, wrong}
      wire.route = () => sshd.port
      wire.reset()
      project.vmfile(
        `  provision "shell" { inline "i=0; while [ $i -lt 40 ]; do i=$((i+1)); echo $i; sleep 0.05; done; test ! -e '${mark}'"; }`,
      )
      await project.ok('provision')
    }
  },
}
