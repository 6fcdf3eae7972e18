import {describe, expect, it} from 'vitest'

import {parseChecksumFile} from './checksum.ts'

const [a, b] = ['a'.repeat(64), 'b'.repeat(64)]
const long = 'c'.repeat(128)
const parse = (text: string, name = 'disk.qcow2') => parseChecksumFile(text, name, 'SUMS')

describe('a checksum file', () => {
  it.each([
    ['GNU', `${b}  other.qcow2\n${a}  disk.qcow2\n`],
    ['GNU, binary', `${a} *disk.qcow2\n${b} *xdisk.qcow2\n`],
    ['GNU with a path', `${a}  ./images/disk.qcow2\n${b}  ./images/disk.qcow2.sig\n`],
    ['BSD', `SHA256 (other.qcow2) = ${b}\nSHA256 (disk.qcow2) = ${a}\n`],
    [
      'CRLF, comments and a signature',
      `-----BEGIN PGP SIGNED MESSAGE-----\r\nHash: SHA256\r\n\r\n# list\r\n${a}  disk.qcow2\r\n-----BEGIN PGP SIGNATURE-----\r\n`,
    ],
    ['upper case', `${a.toUpperCase()}  disk.qcow2\n`],
    ['one digest and nothing else', `${a}\n`],
    ['the same line twice', `${a}  disk.qcow2\n${a}  disk.qcow2\n`],
  ])('is understood: %s', (_, text) => {
    expect(parse(text)).toEqual({sha256: a})
  })

  it('may hold both digests, and names with blanks and escapes', () => {
    expect(parse(`SHA256 (disk.qcow2) = ${a}\nSHA512 (disk.qcow2) = ${long}\n`)).toEqual({sha256: a, sha512: long})
    expect(parse(`${a}  my disk (1).qcow2\n`, 'my disk (1).qcow2')).toEqual({sha256: a})
    expect(parse(`SHA256 (my disk (1).qcow2) = ${a}\n`, 'my disk (1).qcow2')).toEqual({sha256: a})
    expect(parse(`\\${a}  a\\\\b.qcow2\n`, 'a\\b.qcow2')).toEqual({sha256: a})
  })

  it.each([
    ['nothing', ''],
    ['an error page', '<!DOCTYPE html><h1>404</h1>'],
    ['other names', `${a}  disk.qcow2.sig\n${b}  mydisk.qcow2\n`],
    ['md5', `${'d'.repeat(32)}  disk.qcow2\n`],
    ['contradictions', `${a}  disk.qcow2\n${b}  disk.qcow2\n`],
    ['two digests without names', `${a}\n${b}\n`],
  ])('is an error when it holds %s', (_, text) => {
    expect(() => parse(text)).toThrow(/SUMS lists/)
  })

  it('of a megabyte without any structure is read in no time', () => {
    expect(() => parse(`${' '.repeat(500_000)}(${'a '.repeat(250_000)}`)).toThrow(/lists no/)
  })
})
