import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {mkdir, readFile, writeFile} from 'node:fs/promises'
import {createServer} from 'node:net'
import {userInfo} from 'node:os'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'

import {run} from './process.ts'
import type {Workspace} from './workspace.ts'

const program = '/usr/sbin/sshd'

/** A real OpenSSH server on 127.0.0.1 with its own keys and directory. */
export interface Sshd {
  readonly port: number
  readonly user: string
  readonly keyPath: string
  /** The key of the server as a line of OpenSSH: type and base64. */
  readonly hostKey: string
  /** Arguments of ssh, scp and sftp that reach it, all but the port and the host. */
  readonly options: readonly string[]
  stop(): Promise<void>
}

export const startSshd = async (workspace: Workspace): Promise<Sshd> => {
  const directory = await workspace.directory('sshd')
  const [hostKey, key] = [join(directory, 'host_key'), join(directory, 'id_ed25519')]
  for (const path of [hostKey, key]) await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'bench', '-f', path])
  const port = await freePort()
  await writeFile(join(directory, 'authorized_keys'), await readFile(`${key}.pub`), {mode: 0o600})
  await writeFile(join(directory, 'known_hosts'), `[127.0.0.1]:${port} ${await readFile(`${hostKey}.pub`, 'utf8')}`)
  const config = [
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    `HostKey ${hostKey}`,
    `AuthorizedKeysFile ${directory}/authorized_keys`,
    `PidFile ${directory}/pid`,
    'UsePAM no',
    'StrictModes no',
    'PermitRootLogin yes',
    'PasswordAuthentication no',
    'KbdInteractiveAuthentication no',
    'MaxStartups 200',
    'Subsystem sftp internal-sftp',
    // The shell must not read the start-up files of whoever runs the benches.
    `SetEnv HOME=${directory}`,
    '',
  ]
  await writeFile(join(directory, 'config'), config.join('\n'))
  // Root's sshd wants its privilege separation directory even when nobody else ever made it.
  if (process.getuid?.() === 0) await mkdir('/run/sshd', {recursive: true, mode: 0o755})
  const child = spawn(program, ['-D', '-e', '-f', join(directory, 'config')], {stdio: ['ignore', 'ignore', 'pipe']})
  let log = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (log = (log + text).slice(-5000)))
  const ended = once(child, 'exit')
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL')
    await ended
  }
  workspace.atEnd(stop)
  for (let attempt = 0; !log.includes('Server listening'); attempt++) {
    if (child.exitCode !== null || attempt > 200) throw new Error(`sshd did not start: ${log}`)
    await sleep(20)
  }
  const option = (name: string, value: string): string[] => ['-o', `${name}=${value}`]
  return {
    port,
    user: userInfo().username,
    keyPath: key,
    hostKey: (await readFile(`${hostKey}.pub`, 'utf8')).split(' ').slice(0, 2).join(' '),
    options: [
      ...['-F', 'none', '-q', '-i', key],
      ...option('IdentitiesOnly', 'yes'),
      ...option('UserKnownHostsFile', join(directory, 'known_hosts')),
      ...option('GlobalKnownHostsFile', '/dev/null'),
      ...option('StrictHostKeyChecking', 'yes'),
      ...option('BatchMode', 'yes'),
    ],
    stop,
  }
}

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
