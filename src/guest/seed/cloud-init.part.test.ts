import {execFileSync, spawnSync} from 'node:child_process'
import {mkdtemp, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import fc from 'fast-check'
import {expect, test} from 'vitest'
import {parse} from 'yaml'

import {missingProgram, testUnless} from '../../../test/support/programs.ts'
import {metaData, userData, vendorData} from './cloud-init.ts'
import {generateKeyPair} from '../keys/keys.ts'

const hostKey = generateKeyPair('host')
const settings = {user: 'vm', authorizedKeys: ['ssh-ed25519 AAAA me@host'], hostKey}

// cloud-init reads YAML 1.1, for which `yes`, `1:30` and the like are not text.
const readYaml = (text: string): unknown => parse(text, {version: '1.1'})

const pyYaml = 'import sys, json, yaml; print(json.dumps([yaml.safe_load(d) for d in json.load(sys.stdin)]))'
const noPyYaml =
  process.env.CI !== 'true' && spawnSync('python3', ['-c', 'import yaml']).status !== 0 ? 'python3-yaml is not installed' : undefined
const noCloudInit = missingProgram('cloud-init')

const nastyWords = [
  ...[
    'yes',
    'no',
    'on',
    'off',
    'y',
    'n',
    'true',
    'False',
    'null',
    '~',
    '',
    ' ',
    ' a',
    'a ',
    '1',
    '0x1f',
    '0o17',
    '017',
    '1_000',
    '1e3',
    '.5',
    '.inf',
    '.nan',
  ],
  ...[
    '1:30',
    '2001-12-14',
    '2001-12-14 21:59:43',
    'a: b',
    'a:',
    ': a',
    'a #b',
    '#a',
    '- a',
    '-',
    '--- a',
    '...',
    '|',
    '>',
    '|-\n a',
    '%TAG',
    '@a',
    '`a',
  ],
  ...[
    '&a',
    '*a',
    '!a',
    '!!str a',
    '{a: b}',
    '[a]',
    '{',
    '}',
    ',',
    '"',
    "'",
    "it's",
    '\\',
    '\\n',
    'a\nb',
    '\na',
    'a\n',
    'a\n\n',
    '\n',
    '\t',
    'a\tb',
    'a\r\nb',
    'a\rb',
  ],
  ...[
    '\u0085',
    'a\u0085b',
    '\u2028',
    'a\u2029b',
    '\u00a0',
    '\ufeff',
    'a\u007fb',
    '日本',
    '🙂',
    '<<',
    '=',
    '<',
    '?',
    '? a',
    'x'.repeat(500),
    '$(reboot)',
    '`id`',
    '!include x',
  ],
]
const nasty = fc.oneof(
  {weight: 3, arbitrary: fc.constantFrom(...nastyWords)},
  {weight: 2, arbitrary: fc.array(fc.constantFrom(...nastyWords), {maxLength: 4}).map((parts) => parts.join(''))},
  fc.string({unit: 'binary'}).filter((text) => text.isWellFormed()),
)
const documents = (accept: (word: string) => boolean = () => true): {readonly text: string; readonly values: readonly string[]}[] =>
  fc.sample(fc.array(nasty.filter(accept), {minLength: 25, maxLength: 25}), 400).map((values) => ({
    text: userData({user: values[0] ?? '', authorizedKeys: values, hostKey}),
    values,
  }))

const expectWords = (document: unknown, values: readonly string[]): void => {
  expect(document).toMatchObject({users: [{name: values[0], ssh_authorized_keys: values}], ssh_keys: {ed25519_private: hostKey.privateKey}})
}

test('user-data is what the book promises', () => {
  const text = userData(settings)
  expect(text.startsWith('#cloud-config\n')).toBe(true)
  expect(readYaml(text)).toEqual({
    users: [
      {
        name: 'vm',
        shell: '/bin/bash',
        groups: ['adm', 'sudo'],
        sudo: 'ALL=(ALL) NOPASSWD:ALL',
        lock_passwd: true,
        ssh_authorized_keys: settings.authorizedKeys,
      },
    ],
    disable_root: true,
    ssh_pwauth: false,
    manage_etc_hosts: 'localhost',
    ssh_keys: {ed25519_private: hostKey.privateKey, ed25519_public: hostKey.publicKey},
    no_ssh_fingerprints: true,
  })
})

test('root as the user is not locked out', () => {
  expect(readYaml(userData({...settings, user: 'root'}))).toMatchObject({users: [{name: 'root'}], disable_root: false})
})

test('a user has the number that shared files belong to; root keeps its own', () => {
  expect(readYaml(userData({...settings, uid: 1234}))).toMatchObject({users: [{name: 'vm', uid: 1234}]})
  expect(userData({...settings, user: 'root', uid: 1234})).not.toContain('uid')
})

test('vendor-data carries the host key and nothing that a user may have set', () => {
  expect(Object.keys(readYaml(vendorData({hostKey})) as object)).toEqual(['ssh_keys', 'no_ssh_fingerprints'])
})

test('meta-data keeps an instance id that looks like a number', () => {
  for (const instanceId of ['0123', '1e3', 'i-abc', '6f1c8f6e-0000-4000-8000-000000000000']) {
    expect(readYaml(metaData({instanceId, hostname: 'web'}))).toEqual({'instance-id': instanceId, 'local-hostname': 'web'})
  }
})

test('10,000 nasty words come back through another parser', () => {
  // yaml 2 takes 1e3017 for a number and drops a last line of blanks; cloud-init's parser does neither.
  const isReadRight = (word: string): boolean => !/^[-+.\d_eE]+$/.test(word) && !/\n[ \t]+\n*$/.test(word)
  for (const {text, values} of documents(isReadRight)) expectWords(readYaml(text), values)
})

testUnless(noPyYaml)('10,000 nasty words come back through the parser of cloud-init', () => {
  const cases = documents()
  const input = JSON.stringify(cases.map(({text}) => text))
  const parsed = JSON.parse(execFileSync('python3', ['-c', pyYaml], {input, encoding: 'utf8', maxBuffer: 256 * 2 ** 20})) as unknown[]
  expect(parsed).toHaveLength(cases.length)
  for (const [index, {values}] of cases.entries()) expectWords(parsed[index], values)
})

testUnless(noCloudInit)("generated user-data and vendor-data pass cloud-init's schema", async () => {
  const directory = await mkdtemp(join(tmpdir(), 'vmctl-schema-'))
  try {
    for (const text of [userData(settings), userData({...settings, user: 'root', authorizedKeys: []}), vendorData({hostKey})]) {
      const path = join(directory, 'config.yaml')
      await writeFile(path, text)
      const {status, stdout, stderr} = spawnSync('cloud-init', ['schema', '--config-file', path], {encoding: 'utf8'})
      expect(`${status} ${stdout}${stderr}`).toMatch(/^0 .*Valid/)
    }
  } finally {
    await rm(directory, {recursive: true})
  }
})
