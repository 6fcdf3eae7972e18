import {writeFile} from 'node:fs/promises'
import {join} from 'node:path'

import {endProcess, startSshd as startServer} from '../../test/support/sshd.ts'
import type {Workspace} from './workspace.ts'

/** A real OpenSSH server on 127.0.0.1 with its own keys and directory. */
export interface Sshd {
  readonly port: number
  readonly user: string
  readonly keyPath: string
  /** The key of the server as a line of OpenSSH: type and base64. */
  readonly hostKey: string
  /** Arguments of ssh, scp and sftp that reach it, all but the port and the host. */
  readonly options: readonly string[]
  /** Nobody answers any longer; the keys stay. */
  stop(): void
}

export const startSshd = async (workspace: Workspace): Promise<Sshd> => {
  const server = await startServer({config: ['MaxStartups 200', 'Subsystem sftp internal-sftp']})
  workspace.atEnd(async () => {
    await server[Symbol.asyncDispose]()
  })
  const {port, user, keyPath} = server
  const hostKey = server.hostKey.publicKey.split(' ').slice(0, 2).join(' ')
  const knownHosts = join(server.directory, 'known_hosts')
  await writeFile(knownHosts, `[127.0.0.1]:${port} ${hostKey}\n`)
  const option = (name: string, value: string): string[] => ['-o', `${name}=${value}`]
  return {
    port,
    user,
    keyPath,
    hostKey,
    options: [
      ...['-F', 'none', '-q', '-i', keyPath],
      ...option('IdentitiesOnly', 'yes'),
      ...option('UserKnownHostsFile', knownHosts),
      ...option('GlobalKnownHostsFile', '/dev/null'),
      ...option('StrictHostKeyChecking', 'yes'),
      ...option('BatchMode', 'yes'),
    ],
    stop: () => endProcess(server.pid),
  }
}
