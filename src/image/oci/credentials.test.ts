import {mkdirSync, writeFileSync} from 'node:fs'
import {dirname, join} from 'node:path'

import {describe, expect, test} from 'vitest'

import {temporaryDirectory} from '../../../test/support/builders.ts'
import {parseChallenges} from './challenge.ts'
import {findCredentials} from './credentials.ts'

const {signal} = new AbortController()
const auth = (pair: string): {auth: string} => ({auth: Buffer.from(pair).toString('base64')})
const place = {registry: 'ghcr.io', repository: 'team/a/disk'}

const look = (files: Readonly<Record<string, unknown>>, {where = place}: {readonly where?: typeof place} = {}) => {
  const home = temporaryDirectory()
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(home, name)), {recursive: true})
    writeFileSync(join(home, name), typeof content === 'string' ? content : JSON.stringify(content))
  }
  const env = {
    HOME: home,
    XDG_RUNTIME_DIR: join(home, 'run'),
    DOCKER_CONFIG: join(home, 'docker'),
    REGISTRY_AUTH_FILE: join(home, 'auth.json'),
  }
  return findCredentials(where, {env, signal})
}

const user = (name: string, password = 'p') => ({credentials: {kind: 'user', user: name, password}, problems: []})

describe('credentials', () => {
  test('come from the file that is named, then from the usual places', async () => {
    const files = {
      'auth.json': {auths: {'ghcr.io': auth('named:p')}},
      'docker/config.json': {auths: {'ghcr.io': auth('docker:p')}},
      'run/containers/auth.json': {auths: {'ghcr.io': auth('podman:p')}},
      '.docker/config.json': {auths: {'ghcr.io': auth('home:p')}},
    }
    const left = new Map(Object.entries(files))
    for (const [name, who] of [
      ['auth.json', 'named'],
      ['docker/config.json', 'docker'],
      ['run/containers/auth.json', 'podman'],
      ['.docker/config.json', 'home'],
    ] as const) {
      expect(await look(Object.fromEntries(left))).toEqual(user(who))
      left.delete(name)
    }
    expect(await look({})).toEqual({problems: []})
  })

  test('for a repository come before those for its registry', async () => {
    const auths = {'ghcr.io': auth('all:p'), 'ghcr.io/team': auth('team:p'), 'ghcr.io/team/a': auth('a:p')}
    expect(await look({'auth.json': {auths}})).toEqual(user('a'))
    expect(await look({'auth.json': {auths}}, {where: {registry: 'ghcr.io', repository: 'teams/x'}})).toEqual(user('all'))
  })

  test.each([
    ['a colon in a password', {'ghcr.io': auth('anna:a:b')}, 'ghcr.io', user('anna', 'a:b')],
    ['a URL as the name', {'https://ghcr.io/v1/': auth('anna:p')}, 'ghcr.io', user('anna')],
    ['Docker Hub', {'https://index.docker.io/v1/': auth('anna:p')}, 'docker.io', user('anna')],
    ['no other registry', {'ghcr.io.example.org': auth('anna:p')}, 'ghcr.io', {problems: []}],
    [
      'an identity token',
      {'ghcr.io': {...auth('x:'), identitytoken: 't'}},
      'ghcr.io',
      {credentials: {kind: 'identity', token: 't'}, problems: []},
    ],
    ['nothing written', {'ghcr.io': {}}, 'ghcr.io', {problems: []}],
  ])('%s', async (_, auths, registry, expected) => {
    expect(await look({'auth.json': {auths}}, {where: {...place, registry}})).toEqual(expected)
  })

  test('a damaged file is told, without what stands in it, and the next one is read', async () => {
    const found = await look({
      'auth.json': '{"auths": {"ghcr.io": {"auth": "c2VjcmV0',
      '.docker/config.json': {auths: {'ghcr.io': auth('home:p')}},
    })
    expect(found).toMatchObject({...user('home'), problems: [expect.stringMatching(/auth\.json: it is not JSON/)]})
    expect(JSON.stringify(found.problems)).not.toContain('c2Vj')
  })

  test.each(['../../bin/sh', 'a b', '-x', 'missing-helper'])('a helper %j that cannot be used is told', async (helper) => {
    const found = await look({'auth.json': {credHelpers: {'ghcr.io': helper}}})
    expect(found.credentials).toBeUndefined()
    expect(found.problems).toEqual([expect.stringContaining('auth.json')])
  })
})

test.each([
  ['Bearer realm="https://x/token",service="r",scope="a:b,c:d"', [{scheme: 'bearer', realm: 'https://x/token', service: 'r'}]],
  ['bearer realm=https://x', [{scheme: 'bearer', realm: 'https://x', service: undefined}]],
  ['Basic realm="a \\"b\\""', [{scheme: 'basic', realm: 'a "b"', service: undefined}]],
  [
    'Basic realm="x", Bearer realm="https://y"',
    [
      {scheme: 'bearer', realm: 'https://y', service: undefined},
      {scheme: 'basic', realm: 'x', service: undefined},
    ],
  ],
  ['Negotiate', []],
  ['', []],
  ['"""==,,', []],
])('a challenge: %j', (header, expected) => {
  expect(parseChallenges(header)).toEqual(expected)
})
