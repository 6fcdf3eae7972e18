import {execFileSync} from 'node:child_process'

import fc from 'fast-check'
import {expect, test} from 'vitest'

import {missingProgram, testUnless} from '../../../test/support/programs.ts'
import {passwordHash, sha512Crypt} from './crypt.ts'

test.each([
  ['Hello world!', 'saltstring', 'svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1'],
  ['This is just a test', 'toolongsaltstrin', 'lQ8jolhgVRVhY4b5pZKaysCLi0QBxGoNeKQzQ3glMhwllF7oGDZxUhx1yxdYcz/e1JSbq3y6JMxxl8audkUEm0'],
])('the vectors of the specification: %s', (password, salt, hash) => {
  expect(sha512Crypt(password, salt)).toBe(`$6$${salt}$${hash}`)
})

test('a hash stays as it is, and a password has the same hash at every reading, another one for each VM', () => {
  expect(passwordHash('$6$salt$hash', 'web')).toBe('$6$salt$hash')
  expect(passwordHash('secret', 'web')).toBe(passwordHash('secret', 'web'))
  expect(passwordHash('secret', 'web')).not.toBe(passwordHash('secret', 'db'))
  expect(passwordHash('$ecret', 'web')).toMatch(/^\$6\$[./0-9A-Za-z]{16}\$[./0-9A-Za-z]{86}$/)
})

testUnless(missingProgram('openssl', ['version']))('the same as openssl for passwords of any length and alphabet', () => {
  const salts = fc.string({unit: fc.constantFrom('.', '/', '0', '9', 'A', 'Z', 'a', 'z'), minLength: 1, maxLength: 16})
  const passwords = fc.string({unit: 'grapheme', minLength: 1, maxLength: 80}).filter((text) => !/[\n\r\0]/.test(text))
  fc.assert(
    fc.property(passwords, salts, (password, salt) => {
      const expected = execFileSync('openssl', ['passwd', '-6', '-salt', salt, '-stdin'], {input: `${password}\n`, encoding: 'utf8'})
      expect(sha512Crypt(password, salt)).toBe(expected.trim())
    }),
    {numRuns: 20},
  )
})
