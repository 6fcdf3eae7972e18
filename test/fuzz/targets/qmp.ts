import {strict as assert} from 'node:assert'
import {once} from 'node:events'
import {createServer} from 'node:net'
import {join} from 'node:path'

import {connectQmp} from '../../../src/hypervisor/qemu/qmp.ts'
import {resultOrFailure, type Target} from '../target.ts'
import {scratchDirectory} from './directory.ts'

/** What QEMU says, from the greeting on; then it hangs up. */
import {qemuFailures} from '../../../src/hypervisor/qemu/failures.ts'
export const qmp: Target = {
  about: 'the messages of a QMP socket',
  dictionary: [
    ...[
      '{"QMP":{}}\n',
      '{"return":{},"id":1}\n',
      '{"return":{"status":"running"},"id":2}\n',
      '{"error":{},"id":2}\n',
      '{"error":null,"id":1}\n',
    ],
    ...['{"event":"STOP"}\n', '{"event":1,"data":[]}\n', '\r\n', '\n', '[]\n', 'null\n', '"id":', '__proto__', '\u0000'],
  ],
  async open() {
    const scratch = scratchDirectory()
    const path = join(scratch.path, 'qmp.sock')
    let says: Buffer = Buffer.alloc(0)
    const server = createServer((socket) => {
      socket.on('error', () => undefined)
      // In two pieces, so that a message is cut somewhere.
      socket.write(says.subarray(0, says.length / 2))
      setImmediate(() => socket.end(says.subarray(says.length / 2)))
    }).listen(path)
    await once(server, 'listening')
    return {
      async try(input) {
        says = input
        const client = await resultOrFailure([qemuFailures.qmpConnectFailed], () => connectQmp(path, {timeoutMs: 800}))
        if (!client) return
        client.onEvent(({event, data}) => {
          assert.equal(typeof event, 'string')
          assert.ok(typeof data === 'object')
        })
        await resultOrFailure([qemuFailures.qmpCommandFailed], () => client.execute('query-status', undefined, 800))
        client[Symbol.dispose]()
        await client.closed
      },
      async [Symbol.asyncDispose]() {
        server.close()
        scratch.remove()
      },
    }
  },
}
