import {describe, expect, test} from 'vitest'

import {isVmctlError} from '../../model/errors.ts'
import type {LockedImage} from '../../model/lock.ts'
import {parseLock} from './read.ts'
import {lockText} from './write.ts'

const a = 'a'.repeat(64)
const b = 'b'.repeat(128)
const signed = {level: 'signed', by: 'A "good" publisher', fingerprint: 'D2EB44626FDDC30B513D5BB71A5D6C4C7DB87C81'} as const

const images: readonly LockedImage[] = [
  {image: 'https://example.org/disk.raw?token=…#query-0123456789abcdef', digests: {sha256: a, sha512: b}, trust: {level: 'none'}},
  {image: 'ubuntu:24.04', architecture: 'aarch64', url: 'https://example.org/arm.img', digests: {sha256: a}, trust: signed},
  {
    image: 'ubuntu:24.04',
    architecture: 'x86_64',
    url: 'https://example.org/20260725/x.img',
    digests: {sha256: a},
    sizeBytes: 620_000_000,
    virtualSizeBytes: 3_758_096_384,
    format: 'qcow2',
    published: '2026-07-25',
    trust: signed,
  },
  ...(['uefi', 'bios'] as const).map(
    (firmware) =>
      ({
        image: 'alpine:3.24',
        architecture: 'x86_64',
        firmware,
        url: `https://example.org/${firmware}.qcow2`,
        digests: {sha512: b},
        trust: {level: 'checksum'},
      }) as const,
  ),
]

describe('a lock file', () => {
  test('is read as it was written, in one order, with one fact a line', () => {
    const text = lockText(images)
    expect(lockText(parseLock(text, 'VMFile.lock'))).toBe(text)
    expect(lockText(images.toReversed())).toBe(text)
    expect(parseLock(text, 'VMFile.lock')).toEqual(expect.arrayContaining([...images]))
    expect(text).toBe(`// Written by vmctl; commit it. \`vmctl image update\` renews it.
lock 1

image "alpine:3.24" {
    x86_64 firmware="bios" {
        url "https://example.org/bios.qcow2"
        sha512 "${b}"
        trust "checksum"
    }
    x86_64 firmware="uefi" {
        url "https://example.org/uefi.qcow2"
        sha512 "${b}"
        trust "checksum"
    }
}

image "https://example.org/disk.raw?token=…#query-0123456789abcdef" {
    sha256 "${a}"
    sha512 "${b}"
    trust "none"
}

image "ubuntu:24.04" {
    x86_64 {
        url "https://example.org/20260725/x.img"
        sha256 "${a}"
        size 620000000
        format "qcow2"
        virtual-size 3758096384
        published "2026-07-25"
        trust "signed" by="A \\"good\\" publisher" key="${signed.fingerprint}"
    }
    aarch64 {
        url "https://example.org/arm.img"
        sha256 "${a}"
        trust "signed" by="A \\"good\\" publisher" key="${signed.fingerprint}"
    }
}
`)
  })

  test('a newer build is two or three lines of difference', () => {
    const newer = images.map((image) =>
      image.published === undefined ? image : {...image, digests: {sha256: 'c'.repeat(64)}, published: '2026-08-01'},
    )
    const before = new Set(lockText(images).split('\n'))
    const changed = lockText(newer)
      .split('\n')
      .filter((line) => !before.has(line))
    expect(changed.map((line) => line.trim().split(' ')[0])).toEqual(['sha256', 'published'])
  })
})

const problemsOf = (text: string): string[] => {
  try {
    parseLock(text, 'VMFile.lock')
  } catch (error) {
    if (isVmctlError(error))
      return error.problems.map(({line, column, length, message, hint}) => `${line}:${column}+${length} ${message}; ${hint}`)
    throw error
  }
  return []
}

const inImage = (...lines: readonly string[]): string => `lock 1\nimage "debian:12" {\n x86_64 {\n${lines.join('\n')}\n }\n}\n`
const url = 'url "https://example.org/a.qcow2"'
const trust = 'trust "checksum"'

describe('a lock file that somebody has edited', () => {
  test.each<[what: string, text: string, problem: string]>([
    [
      'a digest that was cut',
      inImage(url, `sha512 "${a}"`, trust),
      '5:8+66 a sha512 has 128 hexadecimal digits, found 64; this looks like a sha256',
    ],
    ['no digest', inImage(url, trust), '3:2+6 there is no digest; add sha256 "…" or sha512 "…"'],
    ['no trust', inImage(url, `sha256 "${a}"`), '3:2+6 it is not said how far it can be trusted; add trust "checksum", say'],
    ['nobody who signed', inImage(url, `sha256 "${a}"`, 'trust "signed"'), '6:1+5 it is not said who signed; add by="…" and key="…"'],
    ['no place', inImage(`sha256 "${a}"`, trust), '3:2+6 it is not said where the image for x86_64 is; add url "…"'],
    [
      'a word that nobody knows',
      inImage(url, `sha256 "${a}"`, 'sise 5', trust),
      '6:1+4 unknown node "sise" in x86_64; did you mean "size"?',
    ],
    [
      'no version',
      'image "https://example.org/a" { trust "none"; sha256 "' + a + '"; }',
      '1:1+1 this file does not begin with lock 1; it is no lock file',
    ],
    ['a newer version', 'lock 2\n', '1:6+1 this lock file has version 2, which this vmctl cannot read; it was written by a newer vmctl'],
    ['an empty image', 'lock 1\nimage "debian:12"\n', '2:7+11 nothing is locked of "debian:12"; remove it, and run `vmctl image lock`'],
    [
      'the same image twice',
      `lock 1\nimage "https://example.org/a" { sha256 "${a}"; trust "none"; }\nimage "https://example.org/a" { sha256 "${a}"; trust "none"; }\n`,
      '3:7+23 "https://example.org/a" is locked twice; the first is in line 2',
    ],
    [
      'a processor twice',
      `lock 1\nimage "debian:12" {\n x86_64 { ${url}; sha256 "${a}"; ${trust}; }\n x86_64 { ${url}; sha256 "${a}"; ${trust}; }\n}\n`,
      '4:2+6 "debian:12 x86_64" is locked twice; the first is in line 3',
    ],
    [
      'a conflict of a merge',
      inImage(url, '<<<<<<< HEAD', `sha256 "${a}"`, '=======', `sha256 "${'c'.repeat(64)}"`, '>>>>>>> other', trust),
      '5:1+12 a merge has left a conflict here; take either side (`git checkout --theirs` and the name of the file), then run `vmctl image lock`',
    ],
    [
      'facts outside of a processor',
      `lock 1\nimage "debian:12" {\n ${url}\n x86_64 { ${url}; sha256 "${a}"; ${trust}; }\n}\n`,
      '3:6+29 url belongs to the image for one processor; put it into a block such as x86_64 { … }',
    ],
  ])('%s is told with its place', (_what, text, problem) => {
    expect(problemsOf(text)).toEqual([problem])
  })

  test('one that cannot be a lock file, by its size', () => {
    expect(problemsOf('a {'.repeat(2 ** 19))).toEqual(['1:1+1 a lock file has 1 MB at most; remove it, and run `vmctl image lock`'])
  })

  test('line ends of Windows, and comments, are no problem', () => {
    const text = `// mine\n${lockText(images)}`.replaceAll('\n', '\r\n')
    expect(parseLock(text, 'VMFile.lock')).toHaveLength(images.length)
  })
})
