import {readFile} from 'node:fs/promises'
import type {Duplex} from 'node:stream'
import {buffer} from 'node:stream/consumers'

import {writeFileAtomic} from '../../host/files.ts'
import {isFailure} from '../../model/errors.ts'
import {vmFiles} from '../../model/layout.ts'
import type {Vm} from '../../model/vm.ts'
import {at} from './api/client.ts'
import {dictionary, shape, text} from './api/read.ts'
import {incusFailures} from './failures.ts'
import {instanceName} from './instance.ts'
import type {Server} from './server.ts'

/** Puts what the server has kept of the console into the log of the VM. */
export const fetchConsole = async ({client}: Server, vm: Vm, signal: AbortSignal): Promise<void> => {
  const {consoleLog} = vmFiles(vm.directory)
  try {
    const {body} = await client.stream({path: at('instances', instanceName(vm), 'console'), doing: 'read the console', signal})
    const seen = await buffer(body)
    const known = await readFile(consoleLog).catch(() => undefined)
    if (!known?.equals(seen)) await writeFileAtomic(consoleLog, seen)
  } catch (error) {
    if (!isFailure(error, incusFailures.notFound)) throw error
  }
}

const fdsOf = shape<{readonly fds: Readonly<Record<string, string>>}>({fds: dictionary(text)})

/** A stream to the console of an instance that runs. */
export const openConsole = async ({client}: Server, vm: Vm, signal: AbortSignal): Promise<Duplex> => {
  const doing = `open the console of ${instanceName(vm)}`
  const path = at('instances', instanceName(vm), 'console')
  // An earlier one, of a command that was killed, would keep us out.
  const begun = await client.begin({method: 'POST', path, json: {type: 'console', width: 80, height: 24, force: true}, doing, signal})
  const {fds} = fdsOf(begun.operation.metadata, 'the operation')
  const open = (fd: string) => client.socket({path: `${begun.path}/websocket`, query: {...begun.query, secret: fds[fd]}, doing, signal})
  const [terminal, control] = await Promise.all([open('0'), open('control')])
  const stream = terminal.bytes('close')
  stream.once('close', () => control.close())
  return stream
}
