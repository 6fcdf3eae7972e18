import {gzipSync} from 'node:zlib'

import {expect, test} from 'vitest'

import {examineSeedFile} from './user-data.ts'

const examine = (text: string | Uint8Array, kind: Parameters<typeof examineSeedFile>[0] = 'user-data'): string[] =>
  examineSeedFile(kind, Buffer.from(text)).map(({severity, message}) => `${severity}: ${message}`)

test.each([
  ['a cloud-config', '#cloud-config\nusers:\n  - name: deploy\n'],
  ['one of Windows', '#cloud-config\r\nusers:\r\n  - name: deploy\r\n'],
  ['one behind an empty line', '\n#Cloud-Config\nusers: [a]\n'],
  ['a script', '#!/bin/sh\necho\thello\n'],
  ['a list of addresses', '#include\nhttps://example.com/a\n'],
  ['a list of addresses, once', '#include-once\nhttps://example.com/a\n'],
  ['a program for every boot', '#cloud-boothook\n#!/bin/sh\n'],
  ['a template', '## template: jinja\n#cloud-config\n{% if x %}\na: [\n{% endif %}\n'],
  ['an archive', '#cloud-config-archive\n- type: text/cloud-config\n'],
  ['a message of parts', 'Content-Type: multipart/mixed; boundary="x"\nMIME-Version: 1.0\n\n--x\n'],
  ['a packed one', gzipSync('#cloud-config\na: 1\n')],
  ['types of Python', '#cloud-config\na: !!python/unicode b\n'],
])('%s passes', (_what, text) => {
  expect(examine(text)).toEqual([])
})

test.each([
  ['', 'error: the user-data file is empty'],
  [' \n\n', 'error: the user-data file is empty'],
  [
    'users:\n  - name: deploy\n',
    'error: the user-data file does not begin with a line that cloud-init knows, which passes over it then: "users:"',
  ],
  [
    '# cloud-config\nusers: []\n',
    'error: the user-data file does not begin with a line that cloud-init knows, which passes over it then: "# cloud-config"',
  ],
  ['\uFEFF#cloud-config\na: 1\n', 'error: the user-data file begins with a byte order mark, so cloud-init does not know its first line'],
  ['#cloud-config\nusers:\n\t- name: deploy\n', 'error: the user-data file is no YAML in line 3: a tab stands where only spaces may'],
  ['#cloud-config\nusers: [\n', 'error: the user-data file is no YAML in line 3: deficient indentation'],
  ['#cloud-config\na: b: c\n', 'error: the user-data file is no YAML in line 2: bad indentation of a mapping entry'],
  ['#cloud-config\na: 1\nb: 2\na: 3\n', 'warning: the user-data file gives a key twice in line 4: "a"'],
  ['#cloud-config\n- a\n', 'error: the user-data file is no YAML mapping, so cloud-init passes over it'],
  ['#cloud-config\n', 'warning: the user-data file says nothing'],
  ['#!/bin/sh\r\necho\r\n', 'error: the user-data file is a script with Windows line ends, which no guest can run'],
  [Buffer.from([0x1f, 0x8b, 0, 1, 2]), 'error: the user-data file is damaged: gzip cannot unpack it'],
])('%j is told', (text, message) => {
  expect(examine(text)).toEqual([message])
  expect(examineSeedFile('user-data', Buffer.from(text))[0]?.hint).toMatch(/\w/)
})

test('a network configuration is YAML without a first line of its own', () => {
  expect(examine('version: 2\nethernets: {}\n', 'network-config')).toEqual([])
  expect(examine('version: 2\n\tethernets: {}\n', 'network-config')).toEqual([
    'error: the network-config file is no YAML in line 2: a tab stands where only spaces may',
  ])
  expect(examine('', 'network-config')).toEqual(['warning: the network-config file says nothing'])
})
