import {expect, test} from 'vitest'

import {makeSpec} from '../../test/support/builders.ts'
import {displaySource, withoutSecrets} from './secrets.ts'

const withImage = (source: string, checksumUrl?: string) =>
  makeSpec({image: {kind: 'url', source, ...(checksumUrl !== undefined && {checksumUrl})}})

test('the record of an image URL has no password and no value of its query, and still tells queries apart', () => {
  const one = withoutSecrets(
    withImage('https://me:canary-1@host/disk.qcow2?token=canary-2&v=1', 'https://me:canary-3@host/sums?k=canary-4'),
  )
  expect(JSON.stringify(one)).not.toContain('canary')
  expect(one.image.source).toMatch(/^https:\/\/host\/disk\.qcow2\?token=…&v=…#query-[0-9a-f]{16}$/)
  expect(displaySource(one.image)).toBe('https://host/disk.qcow2?token=…&v=…')
  expect(withoutSecrets(one)).toEqual(one)
  expect(withoutSecrets(withImage('https://host/disk.qcow2?token=canary-2&v=2')).image.source).not.toBe(one.image.source)
  expect(withoutSecrets(withImage('https://other:pw@host/disk.qcow2?token=canary-2&v=1')).image.source).toBe(one.image.source)
  expect(withoutSecrets(withImage('https://host/disk.qcow2')).image.source).toBe('https://host/disk.qcow2')
})

test('a path stays as it is, whatever it looks like', () => {
  const spec = makeSpec({image: {kind: 'file', source: '/images/a?b=c#d.qcow2'}})
  expect(withoutSecrets(spec)).toEqual(spec)
  expect(displaySource(spec.image)).toBe('/images/a?b=c#d.qcow2')
})
