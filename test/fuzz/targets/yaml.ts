import {strict as assert} from 'node:assert'

import {parse} from 'yaml'

import {metaData, userData, vendorData} from '../../../src/guest/seed/cloud-init.ts'
import {generateKeyPair} from '../../../src/guest/keys/keys.ts'
import {pureTrial, type Target} from '../target.ts'

// What is made of a public key that is none is an error; the texts of the trial are for all other places.
const {publicKey} = generateKeyPair('host')

/** Texts, separated by NUL, that go into the documents of cloud-init and are read again by another library, as YAML 1.1. */
export const yaml: Target = {
  about: "cloud-init's documents: every text comes out of the YAML as it went in",
  dictionary: [
    ': ',
    ' #',
    '\n',
    '|',
    '>',
    '- ',
    '&a',
    '*a',
    '!!str ',
    'yes',
    'no',
    'null',
    '~',
    '1:30',
    '0x1F',
    '2001-12-14',
    '\u0085',
    '\u2028',
    '\uFEFF',
    '%YAML 1.1',
    '---',
    '...',
    '"',
    "'",
    '\0',
    '{{',
    '=',
    '<<',
    '0o7',
    '1_000',
  ],
  open: () =>
    pureTrial((input) => {
      const texts = input.toString().split('\0')
      const read = (text: string): any => parse(text, {version: '1.1'})
      const [instanceId = '', hostname = ''] = texts
      assert.deepEqual(read(metaData({instanceId, hostname})), {'instance-id': instanceId, 'local-hostname': hostname})
      // js-yaml leaves a number that is too large for it without quotes, and this reader takes `e5` for a number; neither
      // users nor keys are numbers.
      const [first = '', second = '', ...rest] = texts.map((text) => (/^[-+.\deE]/.test(text) ? `k${text}` : text))
      const hostKey = {publicKey, privateKey: second}
      assert.deepEqual(read(vendorData({hostKey})).ssh_keys, {ed25519_private: second, ed25519_public: publicKey})
      const text = userData({user: first, authorizedKeys: rest, hostKey})
      assert.ok(text.startsWith('#cloud-config\n'))
      const {users, ssh_keys: keys} = read(text)
      assert.equal(users.length, 1)
      assert.equal(users[0].name, first)
      assert.deepEqual(users[0].ssh_authorized_keys ?? [], rest)
      assert.deepEqual(keys, {ed25519_private: second, ed25519_public: publicKey})
    }),
}
