import fc from 'fast-check'
import {describe, expect, test} from 'vitest'

import {isLoopbackRegistry, isRegistryName, ociScheme, parseOciReference, showOciReference} from './oci-reference.ts'

const digest = `sha256:${'0123456789abcdef'.repeat(4)}`

describe('a reference', () => {
  test.each([
    ['ghcr.io/team/debian:12', {registry: 'ghcr.io', repository: 'team/debian', tag: '12'}],
    ['ghcr.io/team/debian', {registry: 'ghcr.io', repository: 'team/debian', tag: 'latest'}],
    ['GHCR.io/a', {registry: 'ghcr.io', repository: 'a', tag: 'latest'}],
    ['127.0.0.1:5000/a/b-c__d.e:V1_2.3-x', {registry: '127.0.0.1:5000', repository: 'a/b-c__d.e', tag: 'V1_2.3-x'}],
    ['[::1]:5000/a:1', {registry: '[::1]:5000', repository: 'a', tag: '1'}],
    [`quay.io/a@${digest}`, {registry: 'quay.io', repository: 'a', digest}],
    [`quay.io/a:1@${digest}`, {registry: 'quay.io', repository: 'a', tag: '1', digest}],
  ])('%s', (text, expected) => {
    expect(parseOciReference(`${ociScheme}${text}`)).toEqual(expected)
  })

  test.each([
    ['', /registry/],
    ['/a:1', /registry/],
    ['ghcr.io', /repository/],
    ['ghcr.io/', /repository/],
    ['ghcr.io:99999/a', /registry/],
    ['ghcr.io/Team/a:1', /repository/],
    ['ghcr.io/../../etc/passwd', /repository/],
    ['ghcr.io/a//b', /repository/],
    ['ghcr.io/a/:1', /repository/],
    ['ghcr.io/a:1:2', /repository/],
    ['ghcr.io/a:', /tag/],
    ['ghcr.io/a:-1', /tag/],
    [`ghcr.io/a:${'x'.repeat(129)}`, /tag/],
    [`ghcr.io/${'a/'.repeat(200)}a`, /repository/],
    ['ghcr.io/a@sha256:123', /digest/],
    [`ghcr.io/a@${digest.toUpperCase()}`, /digest/],
    ['ghcr.io/a?x=1', /query/],
    ['ghcr.io/a#x', /query/],
    ['ghcr.io/a b', /repository/],
    ['ghcr.io/a\n:1', /repository/],
    ['ghcr.io\u202E/a', /registry/],
  ])('refused: %j', (text, message) => {
    expect(parseOciReference(`${ociScheme}${text}`)).toMatchObject({message: expect.stringMatching(message)})
  })

  test('a password is neither taken nor repeated', () => {
    const problem = parseOciReference('oci://anna:secret@ghcr.io/a:1')
    expect(problem).toMatchObject({message: expect.stringContaining('password')})
    expect(JSON.stringify(problem)).not.toContain('secret')
  })

  test('whatever is taken is shown so that it means the same, and stays where it is', () => {
    const words = (letters: string) => fc.string({unit: fc.constantFrom(...letters.split('')), minLength: 1, maxLength: 6})
    const hosts = fc.constantFrom('ghcr.io', '127.0.0.1:5000', '[::1]:80', 'A.b')
    const names = fc.tuple(hosts, words('aab.-_/'), words('aZ.-_%/'))
    let count = 0
    fc.assert(
      fc.property(names, ([registry, repository, tag]) => {
        const found = parseOciReference(`${ociScheme}${registry}/${repository}:${tag}`)
        if ('message' in found) return
        count += 1
        expect(parseOciReference(`${ociScheme}${showOciReference(found)}`)).toEqual(found)
        const path = `/v2/${found.repository}/manifests/${found.tag}`
        expect(new URL(`http://${found.registry}${path}`).pathname).toBe(path)
      }),
      {numRuns: 2000},
    )
    expect(count).toBeGreaterThan(20)
  })
})

test('http is for this host alone', () => {
  const loopback = ['localhost', 'localhost:5000', '127.0.0.1', '127.9.8.7:5000', '[::1]', '[::1]:5000']
  const others = ['localhost.example.org', '127.0.0.1.example.org', '10.0.0.1:5000', 'ghcr.io', '[::2]']
  expect([...loopback, ...others].filter(isLoopbackRegistry)).toEqual(loopback)
})

test('no publisher is called like a registry', () => {
  expect(['ghcr.io', 'localhost', 'registry:5000', 'debian', 'centos-stream', '', 'a b.c'].map(isRegistryName)).toEqual([
    ...[true, true, true],
    ...[false, false, false, false],
  ])
})
