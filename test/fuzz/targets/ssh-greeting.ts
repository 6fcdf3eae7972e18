import {strict as assert} from 'node:assert'
import {Duplex} from 'node:stream'

import {awaitGreeting} from '../../../src/guest/ssh/greeting.ts'
import {isVmctlError} from '../../../src/model/errors.ts'
import {pureTrial, type Target} from '../target.ts'

export const sshGreeting: Target = {
  about: 'the first words of whatever answers on the SSH port',
  maxBytes: 20_000,
  dictionary: ['SSH-2.0-', 'SSH-1.99-', 'SSH-1.5-', '\r\n', '\n', 'SSH-', '\u001B[31m', 'x'.repeat(500), '\0'],
  open: () =>
    pureTrial(async (input) => {
      const chunks = [input.subarray(0, input.length / 3), input.subarray(input.length / 3)]
      const stream = new Duplex({
        read() {
          const chunk = chunks.shift()
          this.push(chunk ?? null)
        },
        write: (_chunk, _encoding, done) => done(),
      })
      let identification: string
      try {
        identification = await awaitGreeting(stream, {timeoutMs: 900})
      } catch (error) {
        assert.ok(isVmctlError(error) && ['vmctl::ssh::unreachable', 'vmctl::ssh::failed'].includes(error.code), String(error))
        assert.match(error.message, /^\P{Control}{1,300}$/u)
        return
      } finally {
        if (chunks.length > 0) stream.resume()
      }
      assert.match(identification, /^SSH-(?:2\.0|1\.99)-[^\r\n]*$/)
      const rest: Buffer[] = []
      for await (const chunk of stream) rest.push(chunk as Buffer)
      assert.ok(Buffer.concat(rest).equals(input), 'the next reader does not get every byte')
    }),
}
