import {expect, test} from 'vitest'

import {findAlias, imageAliases, usesNetplan} from './image-aliases.ts'

test.each(['x64', 'arm64'])('every alias has an address, a list of checksums and a user for %s', (processor) => {
  for (const name of imageAliases()) {
    const alias = findAlias(name, processor)
    expect(alias?.url, name).toMatch(/^https:\/\/[\w.-]+\/[\w./-]+\.(?:qcow2|img)$/)
    expect(alias?.checksumUrl, name).toMatch(/^https:\/\/[\w.-]+\/[\w./-]+(?:SUMS|CHECKSUM|\.sha512|\.SHA256)$/)
    expect(alias?.user, name).toMatch(/^[a-z]+$/)
    expect(alias?.url, name).toMatch(processor === 'x64' ? /amd64|x86_64/ : /arm64|aarch64/)
  }
})

test('a distribution alone is its newest release', () => {
  expect(findAlias('debian', 'x64')).toEqual(findAlias('debian:13', 'x64'))
  expect(findAlias('ubuntu:latest', 'x64')).toEqual(findAlias('ubuntu:24.04', 'x64'))
  expect(findAlias('arch', 'x64')).toEqual(findAlias('arch:latest', 'x64'))
})

test('what nobody publishes is no alias', () => {
  expect(findAlias('debian', 'mips')).toBeUndefined()
  expect(findAlias('plan9', 'x64')).toBeUndefined()
  expect(findAlias('toString', 'x64')).toBeUndefined()
})

test.each([
  [{user: 'ubuntu', source: 'https://example.com/disk.img'}, true],
  [{source: 'https://cloud-images.ubuntu.com/noble/current/noble-server-cloudimg-amd64.img'}, true],
  [{source: '/images/ubuntu-26.04.qcow2'}, true],
  [{source: '/images/my_ubuntu.img'}, true],
  [{user: 'debian', source: 'https://cloud.debian.org/images/debian-12.qcow2'}, false],
  [{source: '/home/kubuntus/debian.qcow2'}, false],
])('%j configures its networks by netplan: %s', (image, expected) => {
  expect(usesNetplan(image)).toBe(expected)
})
