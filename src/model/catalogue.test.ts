import {describe, expect, test} from 'vitest'

import {builtInCatalogue} from './catalogue-entries.ts'
import {
  catalogueNames,
  findCatalogueImage,
  hasEnded,
  isPublishedFor,
  mergeCatalogues,
  type Publisher,
  referenceOf,
  seedProblem,
  usesNetplan,
} from './catalogue.ts'

const find = (name: string) => findCatalogueImage(builtInCatalogue, name)

describe('a name', () => {
  test.each([
    ['debian', 'debian:13'],
    ['debian:latest', 'debian:13'],
    ['debian:bookworm', 'debian:12'],
    ['ubuntu', 'ubuntu:26.04'],
    ['ubuntu:noble', 'ubuntu:24.04'],
    ['arch', 'arch:latest'],
    ['opensuse:leap', 'opensuse:16.0'],
    ['omnios:lts', 'omnios:r151054'],
  ])('%s is %s', (name, expected) => {
    expect(find(name)?.name).toBe(expected)
  })

  test.each(['plan9', 'debian:', 'debian:9', 'debian:12:1', 'Debian:12', 'toString', ':12', ''])('%s is none', (name) => {
    expect(find(name)).toBeUndefined()
  })
})

describe('what comes with vmctl', () => {
  const all = builtInCatalogue.flatMap((publisher) => publisher.releases.map((release) => ({publisher, release})))

  test('has origins over https, and a name for each release that means it alone', () => {
    for (const {publisher, release} of all) expect(release.origin ?? publisher.origin).toMatch(/^https:\/\/[\w.-]+$/)
    const names = catalogueNames(builtInCatalogue)
    expect(new Set(names).size).toBe(names.length)
    for (const name of names) expect(find(name)).toBeDefined()
  })

  test('has whole fingerprints where lists are signed, and says nothing of keys elsewhere', () => {
    for (const {publisher, release} of all) {
      const keys = release.keys ?? publisher.keys ?? []
      expect(keys.length > 0, publisher.name).toBe(publisher.signature !== undefined)
      for (const key of keys) expect(key).toMatch(/^[0-9A-F]{40}$/)
    }
  })

  test('has a value for each word of its layouts', () => {
    for (const {publisher, release} of all) {
      const known = new Set(['tag', 'arch', 'fingerprint', ...Object.keys(release.words ?? {})])
      if (publisher.imagePerFirmware) known.add('firmware')
      const text = JSON.stringify([publisher.layout, publisher.signature])
      for (const [, group = ''] of text.matchAll(/\(\?<([a-z]+)>/g)) known.add(group)
      if (publisher.layout.kind === 'list' && publisher.layout.pick !== undefined) known.add('file')
      for (const [, word = ''] of text.matchAll(/\{([a-z]+)\}/g)) expect(known, publisher.name).toContain(word)
    }
  })

  test('has days as ends', () => {
    const ends = all.flatMap(({release}) => release.ends ?? [])
    expect(ends.map((end) => new Date(end).toISOString().slice(0, 10))).toEqual(ends)
  })
})

test('a reference says what follows from the name', () => {
  const reference = (name: string, firmware?: 'bios' | 'uefi') => {
    const image = find(name)
    return image && referenceOf(image, firmware)
  }
  expect(reference('opensuse')).toEqual({kind: 'name', source: 'opensuse:16.0', user: 'sles', os: 'systemd'})
  expect(reference('alpine', 'uefi')).toEqual({kind: 'name', source: 'alpine:3.24', user: 'alpine', os: 'openrc', firmware: 'uefi'})
  expect(reference('almalinux')).toMatchObject({cpuLevel: 'x86-64-v3'})
  expect(reference('almalinux:10-x86-64-v2')).not.toHaveProperty('cpuLevel')
})

test('processors, ends and seeds', () => {
  const is = (name: string, architecture: 'x86_64' | 'aarch64' | 'riscv64') => {
    const image = find(name)
    return image && isPublishedFor(image, architecture)
  }
  expect([is('arch', 'x86_64'), is('arch', 'aarch64'), is('debian:13', 'riscv64'), is('debian:12', 'riscv64')]).toEqual([
    true,
    false,
    true,
    false,
  ])
  expect([
    hasEnded({tag: '1', ends: '2026-08-31'}, '2026-08-31'),
    hasEnded({tag: '1', ends: '2026-08-31'}, '2026-09-01'),
    hasEnded({tag: '1'}, '2999-01-01'),
  ]).toEqual([false, true, false])
  const flatcar = find('flatcar')
  expect(flatcar && seedProblem(flatcar)).toContain('Ignition')
})

test('a later catalogue replaces publishers of the same name', () => {
  const [debian, ubuntu] = builtInCatalogue as readonly [Publisher, Publisher]
  const own = {...debian, user: 'me'}
  expect(mergeCatalogues([debian, ubuntu], [own]).map(({name, user}) => `${name} ${user}`)).toEqual(['debian me', 'ubuntu ubuntu'])
})

test.each([
  [{user: 'ubuntu', source: 'https://example.com/disk.img'}, true],
  [{source: 'https://cloud-images.ubuntu.com/noble/current/noble-server-cloudimg-amd64.img'}, true],
  [{user: 'ubuntu', source: 'ubuntu:24.04'}, true],
  [{source: '/images/ubuntu-26.04.qcow2'}, true],
  [{source: '/images/my_ubuntu.img'}, true],
  [{user: 'debian', source: 'https://cloud.debian.org/images/debian-12.qcow2'}, false],
  [{source: '/home/kubuntus/debian.qcow2'}, false],
])('%j configures its networks by netplan: %s', (image, expected) => {
  expect(usesNetplan(image)).toBe(expected)
})
