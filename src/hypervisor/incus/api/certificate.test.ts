import {spawnSync} from 'node:child_process'
import {createPrivateKey, X509Certificate} from 'node:crypto'
import {mkdtemp, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {expect, test} from 'vitest'

import {missingProgram, testUnless} from '../../../../test/support/programs.ts'
import {fingerprintOfCertificate, makeCredentials} from './certificate.ts'

test('a certificate is that of its key, signed by it, and good for ten years from an hour ago', () => {
  const now = new Date('2026-03-01T12:00:00Z')
  const {certificate, key} = makeCredentials('vmctl ünïcode', now)
  const read = new X509Certificate(certificate)
  expect(read.checkPrivateKey(createPrivateKey(key))).toBe(true)
  expect(read.verify(read.publicKey)).toBe(true)
  expect(read.subject).toBe('CN=vmctl ünïcode')
  expect([read.validFromDate, read.validToDate]).toEqual([new Date('2026-03-01T11:00:00Z'), new Date('2036-03-01T12:00:00Z')])
  expect([read.ca, read.keyUsage]).toEqual([false, ['1.3.6.1.5.5.7.3.2']])
  expect(fingerprintOfCertificate(certificate)).toMatch(/^[0-9a-f]{64}$/)
})

test('no two are alike', () => {
  const many = Array.from({length: 5}, () => makeCredentials('same'))
  expect(new Set(many.map(({certificate}) => new X509Certificate(certificate).serialNumber)).size).toBe(5)
})

testUnless(missingProgram('openssl', ['version']))('OpenSSL takes it as a client\u2019s', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'vmctl-certificate-'))
  try {
    const path = join(directory, 'client.crt')
    await writeFile(path, makeCredentials('vmctl').certificate)
    const {stdout, stderr} = spawnSync('openssl', ['verify', '-x509_strict', '-purpose', 'sslclient', '-CAfile', path, path], {
      encoding: 'utf8',
    })
    expect(`${stdout}${stderr}`).toBe(`${path}: OK\n`)
  } finally {
    await rm(directory, {recursive: true})
  }
})
