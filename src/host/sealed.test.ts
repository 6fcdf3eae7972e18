import fc from 'fast-check'
import {expect, test} from 'vitest'

import {seal, unseal} from './sealed.ts'

const record = {schema: 1, name: 'web', spec: {memoryMiB: 1024, note: 'ü\n\u2028"', list: [1, {}, null]}}

test('a record comes back without its seal, whatever is in it', () => {
  expect(unseal(seal(record))).toEqual(record)
  expect(Object.keys(JSON.parse(seal(record)))).toEqual(['schema', 'name', 'spec', 'sha256'])
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (any) => {
      const {sha256: _, ...rest} = any
      expect(JSON.stringify(unseal(seal({...rest, absent: undefined})))).toBe(JSON.stringify(rest))
    }),
  )
})

test('one bit that is turned is noticed, wherever it is', () => {
  const whole = Buffer.from(seal(record))
  for (let bit = 0; bit < whole.length * 8; bit++) {
    const damaged = Buffer.from(whole)
    const at = Math.floor(bit / 8)
    damaged.writeUInt8(damaged.readUInt8(at) ^ (1 << (bit % 8)), at)
    expect(() => unseal(damaged.toString()), damaged.toString()).toThrow()
  }
})

test('a record without a seal is taken as it is, and other content for it is not', () => {
  expect(unseal(JSON.stringify(record))).toEqual(record)
  expect(unseal('[1]')).toEqual([1])
  const sealed = seal(record)
  for (const text of [sealed.replace('1024', '9024'), sealed.replace(/"sha256": "\w+"/, '"sha256": ""'), sealed.replace('"web"', '"db"')]) {
    expect(() => unseal(text)).toThrow('not what was written')
  }
})
