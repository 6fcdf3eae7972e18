import {execFileSync} from 'node:child_process'

import fc from 'fast-check'
import {expect, test} from 'vitest'

import {missingProgram, testUnless} from '../../test/support/programs.ts'
import {sha512Crypt} from './crypt.ts'

test.each([
  ['Hello world!', 'saltstring', 'svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1'],
  ['This is just a test', 'toolongsaltstrin', 'lQ8jolhgVRVhY4b5pZKaysCLi0QBxGoNeKQzQ3glMhwllF7oGDZxUhx1yxdYcz/e1JSbq3y6JMxxl8audkUEm0'],
])('the vectors of the specification: %s', (password, salt, hash) => {
  expect(sha512Crypt(password, salt)).toBe(`$6$${salt}$${hash}`)
})

test.each(['', 'a$b', 'ä', 'x'.repeat(17), 'a b'])('%j is no salt', (salt) => {
  expect(() => sha512Crypt('password', salt)).toThrow('A salt has 1 to 16 characters')
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
