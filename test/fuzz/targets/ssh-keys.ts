import {strict as assert} from 'node:assert'
import {writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {fingerprint, knownHostsKey, knownHostsLine, publicKeyLine} from '../../../src/guest/keys/keys.ts'
import {readPrivateKey} from '../../../src/guest/keys/private-key.ts'
import {resultOrFailure, type Target} from '../target.ts'
import {scratchDirectory} from './directory.ts'
import {parsePublicKeyLine} from '../../../src/model/public-key.ts'

export const sshKeys: Target = {
  about: 'private keys, public keys, known_hosts',
  dictionary: [
    'ssh-ed25519 ',
    'AAAAC3NzaC1lZDI1NTE5AAAAI',
    'web ',
    '\n',
    '-----BEGIN OPENSSH PRIVATE KEY-----\n',
    '-----END OPENSSH PRIVATE KEY-----\n',
    'Proc-Type: 4,ENCRYPTED\n',
    '-----BEGIN RSA PRIVATE KEY-----\n',
    'b3BlbnNzaC1rZXktdjEA',
    '==',
  ],
  open() {
    const scratch = scratchDirectory()
    const path = join(scratch.path, 'key')
    return {
      async try(input) {
        const text = input.toString('latin1')
        writeFileSync(path, input)
        const key = await resultOrFailure(['vmctl::ssh::key_unusable'], () => readPrivateKey(path))
        if (key?.publicKey !== undefined) assert.ok(parsePublicKeyLine(key.publicKey), key.publicKey)
        const pinned = knownHostsKey(text, 'web')
        if (pinned !== undefined) {
          assert.ok(text.includes(pinned.split(' ')[1] ?? ''))
          const again = knownHostsKey(knownHostsLine('web', pinned), 'web')
          assert.deepEqual(parsePublicKeyLine(again ?? ''), parsePublicKeyLine(pinned))
        }
        for (const line of text.split('\n')) {
          const parsed = parsePublicKeyLine(line)
          if (!parsed) continue
          assert.deepEqual(parsePublicKeyLine(publicKeyLine(parsed.blob)), {...parsed, comment: ''})
          assert.match(fingerprint(line), /^SHA256:[A-Za-z0-9+/]{43}$/)
        }
      },
      [Symbol.asyncDispose]: async () => scratch.remove(),
    }
  },
}
