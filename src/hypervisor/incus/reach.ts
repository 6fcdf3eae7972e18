import {Duplex} from 'node:stream'

import {connectTcp} from '../../host/sockets.ts'
import {VmctlError} from '../../model/errors.ts'
import type {Vm} from '../../model/vm.ts'
import {at} from './api/client.ts'
import {dictionary, list, optional, shape, text} from './api/read.ts'
import {mainNic} from './devices.ts'
import {instanceName} from './instance.ts'
import type {Server} from './server.ts'

/**
 * What is run in a container for a connection to its SSH port: the first that is there of programs that pass bytes to and fro. Python
 * comes with cloud-init. sshd on the stream itself is the last, since without a peer it looks for the name of one for seconds. Nothing is
 * begun before sshd listens.
 */
const relayScript = String.raw`grep -q ':0016 .* 0A ' /proc/net/tcp /proc/net/tcp6 2>/dev/null || exit 7
PATH=$PATH:/usr/sbin:/sbin:/usr/local/sbin
if command -v python3 >/dev/null; then exec python3 -c '
import os, socket, sys, threading
peer = socket.create_connection(("127.0.0.1", 22))
def send():
    while True:
        data = os.read(0, 65536)
        if not data:
            break
        peer.sendall(data)
    peer.shutdown(socket.SHUT_WR)
threading.Thread(target=send, daemon=True).start()
while True:
    data = peer.recv(65536)
    if not data:
        break
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
'
elif command -v nc >/dev/null; then exec nc 127.0.0.1 22
elif command -v bash >/dev/null; then exec bash -c 'exec 3<>/dev/tcp/127.0.0.1/22 4<&0; cat <&4 >&3 & cat <&3; kill $!'
fi
sshd=$(command -v sshd) || exit 8
exec "$sshd" -i`

interface Fds {
  readonly fds: Readonly<Record<string, string>>
}

const fdsOf = shape<Fds>({fds: dictionary(text)})

/** A stream to the SSH server of a container, through the server of its home. */
export const relayToSsh = async ({client}: Server, vm: Vm, signal: AbortSignal): Promise<Duplex> => {
  signal.throwIfAborted()
  const doing = `reach SSH in the container ${instanceName(vm)}`
  // The connection outlives the wait for it.
  const life = new AbortController()
  const begun = await client.begin({
    method: 'POST',
    path: at('instances', instanceName(vm), 'exec'),
    json: {command: ['sh', '-c', relayScript], environment: {}, 'wait-for-websocket': true, interactive: false, user: 0},
    doing,
    signal,
  })
  const {fds} = fdsOf(begun.operation.metadata, 'the operation')
  const open = (fd: string) =>
    client.socket({path: `${begun.path}/websocket`, query: {...begun.query, secret: fds[fd]}, doing, signal: life.signal})
  // Neither starts before all are there.
  const [input, output, errors, control] = await Promise.all([open('0'), open('1'), open('2'), open('control')])
  const [to, from] = [input.bytes('empty-text'), output.bytes('empty-text')]
  errors
    .bytes('empty-text')
    .on('error', () => undefined)
    .resume()
  const stream = Duplex.from({readable: from, writable: to})
  stream.once('close', () => {
    for (const socket of [input, output, errors, control]) socket.close()
    life.abort()
  })
  return stream
}

interface State {
  readonly network: Readonly<
    Record<string, {readonly addresses: readonly {readonly family: string; readonly address: string; readonly scope: string}[]}>
  >
}

const state = shape<State>({
  network: dictionary(shape({addresses: list(shape({family: text, address: text, scope: text}))})),
})

/** The IPv4 address by which the server reaches a guest; undefined while it has none. */
export const addressOf = async ({client}: Server, vm: Vm, signal: AbortSignal): Promise<string | undefined> => {
  const call = {path: at('instances', instanceName(vm), 'state'), doing: `look at the instance ${instanceName(vm)}`, signal}
  const seen = await client.find(call, optional(state))
  const addresses = seen?.network[mainNic]?.addresses ?? Object.values(seen?.network ?? {}).flatMap((one) => one.addresses)
  return addresses.find(({family, scope}) => family === 'inet' && scope === 'global')?.address
}

export const dialAddress = async (server: Server, vm: Vm, {port, signal}: {port: number; signal: AbortSignal}): Promise<Duplex> => {
  const address = await addressOf(server, vm, signal)
  if (address === undefined) throw new VmctlError('vmctl::ssh::unreachable', `${vm.name} has no address yet.`, {retry: 'later'})
  return connectTcp(address, port, signal)
}
