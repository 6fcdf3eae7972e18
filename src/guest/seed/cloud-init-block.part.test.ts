import {execFileSync, spawnSync} from 'node:child_process'
import {existsSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {gzipSync} from 'node:zlib'

import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import {parse} from 'yaml'

import {temporaryDirectory} from '../../../test/support/builders.ts'
import {missingProgram, testUnless} from '../../../test/support/programs.ts'
import type {GuestOs} from '../../model/vm.ts'
import {userData} from './cloud-init.ts'
import type {CloudInitBlock} from './cloud-init-block.ts'
import {mergeDocuments} from './cloud-init-merge.ts'
import {generateKeyPair} from '../keys/keys.ts'

const hostKey = generateKeyPair('host')

const render = (block: CloudInitBlock, {os = 'systemd', setup}: {os?: GuestOs; setup?: string} = {}): string =>
  userData({user: 'deploy', authorizedKeys: ['ssh-ed25519 AAAA me'], hostKey, os, block, ...(setup !== undefined && {programs: {setup}})})

const read = (text: string): Record<string, any> => parse(text, {version: '1.1'}) as Record<string, any>

const full: CloudInitBlock = {
  packages: ['nginx', 'curl'],
  packageUpdate: true,
  packageUpgrade: false,
  timezone: 'Europe/Paris',
  locale: 'en_US.UTF-8',
  passwordHash: '$6$salt$hash',
  consoleAutologin: true,
  bootCommands: ['modprobe br_netfilter'],
  runCommands: ['systemctl restart nginx', ['sysctl', '-w', 'net.core.somaxconn=1024']],
  files: [
    {path: '/etc/motd', content: Buffer.from('hällo: #\n  - no\n')},
    {path: '/opt/logo.png', content: Buffer.from([0x89, 0x50, 0, 255]), mode: 0o600},
    {path: '/srv/app.conf', content: Buffer.from('a\r\n'), owner: 'deploy:adm', mode: 0o640},
    {path: '/etc/root', content: Buffer.alloc(0), owner: 'root:root', mode: 0o4755},
  ],
}

test('every word of the block has its setting', () => {
  const document = read(render(full, {setup: 'mount volumes'}))
  expect(document).toMatchObject({
    package_update: true,
    package_upgrade: false,
    packages: ['nginx', 'curl'],
    timezone: 'Europe/Paris',
    locale: 'en_US.UTF-8',
    bootcmd: [['sh', '-c', 'mount volumes', 'vmctl-setup', 'boot'], 'modprobe br_netfilter'],
    users: [{name: 'deploy', lock_passwd: false, hashed_passwd: '$6$salt$hash'}],
    ssh_pwauth: false,
  })
  expect(document.runcmd.slice(1)).toEqual(['systemctl restart nginx', ['sysctl', '-w', 'net.core.somaxconn=1024']])
  expect(document.write_files.slice(1)).toEqual([
    {path: '/etc/motd', content: 'hällo: #\n  - no\n', permissions: '0644'},
    {path: '/opt/logo.png', encoding: 'b64', content: 'iVAA/w==', permissions: '0600'},
    {path: '/srv/app.conf', encoding: 'b64', content: 'YQ0K', permissions: '0640', owner: 'deploy:adm', defer: true},
    {path: '/etc/root', content: '', permissions: '04755', owner: 'root:root'},
  ])
})

test('an empty block adds nothing', () => {
  const keys = Object.keys(read(render({})))
  expect(keys.toSorted()).toEqual(['disable_root', 'manage_etc_hosts', 'no_ssh_fingerprints', 'ssh_keys', 'ssh_pwauth', 'users'])
})

test('any bytes of a file come back', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({maxLength: 200}),
        fc.string({unit: 'binary', maxLength: 200}).map((text) => Buffer.from(text)),
      ),
      (bytes) => {
        const [file] = read(render({files: [{path: '/a', content: bytes}]})).write_files
        expect(Buffer.from(file.content, file.encoding === 'b64' ? 'base64' : 'utf8').equals(Buffer.from(bytes))).toBe(true)
      },
    ),
  )
})

describe('the console logs in by itself', () => {
  test('under systemd: a drop-in that systemd-analyze accepts', () => {
    const {write_files: files, runcmd} = read(render({consoleAutologin: true}))
    expect(files).toHaveLength(1)
    expect(files[0].path).toBe('/etc/systemd/system/serial-getty@.service.d/vmctl-autologin.conf')
    expect(files[0].content).toContain('\nExecStart=\nExecStart=-/sbin/agetty --autologin deploy ')
    expect(spawnSync('sh', ['-n', '-c', runcmd[0][2]]).status).toBe(0)
  })

  const line = `${existsSync('/sbin/getty') ? '/sbin/getty' : '/sbin/agetty'} -n -l /usr/local/sbin/vmctl-autologin -L 115200 ttyS0 vt100`
  const busybox = '::sysinit:/sbin/openrc sysinit\n%tty1::respawn:/sbin/getty 38400 tty1\n'
  const sysvinit = 'id:2:initdefault:\n# no ttyS0 here\n1:2345:respawn:/sbin/getty --noclear 38400 tty1\n%'

  // `%` is the line of the serial console.
  for (const [what, table, before, after] of [
    ['busybox init', busybox, 'ttyS0::respawn:/sbin/getty -L 0 ttyS0 vt100', 'ttyS0::respawn:'],
    ['busybox init without the line', busybox, '', 'ttyS0::respawn:'],
    ['sysvinit', sysvinit, 'T0:23:respawn:/sbin/getty -L ttyS0 9600 vt100', 'T0:23:respawn:'],
    ['sysvinit without the line', sysvinit, '', 'S0:2345:respawn:'],
  ] as const)
    testUnless(missingProgram('busybox', ['true']))(
      `under OpenRC with ${what}: inittab keeps all but the program of the serial console`,
      () => {
        const {write_files: files, runcmd} = read(render({consoleAutologin: true}, {os: 'openrc'}))
        expect(files.slice(1)).toEqual([
          {path: '/usr/local/sbin/vmctl-autologin', content: '#!/bin/sh\nexec /bin/login -f deploy\n', permissions: '0755'},
        ])
        const root = temporaryDirectory()
        const inittab = join(root, 'inittab')
        writeFileSync(inittab, table.replace('%', before === '' ? '' : `${before}\n`))
        const program = String(runcmd[0][2])
          .replace('/etc/inittab', inittab)
          .replace('kill -HUP 1', ':')
          .replace(/^pkill.*$/m, '')
        for (let run = 0; run < 2; run++) {
          const {status, stderr} = spawnSync('busybox', ['sh', '-c', program], {encoding: 'utf8'})
          expect([status, stderr]).toEqual([0, ''])
          const expected = `${after}${line}\n`
          expect(readFileSync(inittab, 'utf8')).toBe(before === '' ? table.replace('%', '') + expected : table.replace('%', expected))
        }
      },
    )
})

test('doas has a rule for the user, in a file that it accepts, under OpenRC only', () => {
  const rule = {path: '/etc/doas.conf', content: '\npermit nopass deploy\n', append: true, permissions: '0600'}
  expect(read(render(full, {os: 'openrc'})).write_files[0]).toEqual(rule)
  expect(render(full)).not.toContain('doas')
})

test('a guest with OpenRC gets its shell and a password that fits nobody without a locked account', () => {
  expect(read(render({}, {os: 'openrc'})).users).toEqual([
    {
      name: 'deploy',
      shell: '/bin/sh',
      sudo: 'ALL=(ALL) NOPASSWD:ALL',
      lock_passwd: false,
      hashed_passwd: '*',
      ssh_authorized_keys: ['ssh-ed25519 AAAA me'],
    },
  ])
})

testUnless(missingProgram('cloud-init'))("a full block passes cloud-init's schema", () => {
  const directory = temporaryDirectory()
  for (const text of [render(full, {setup: 'true'}), render({...full, passwordHash: '*'}), render({consoleAutologin: true})]) {
    const path = join(directory, 'config.yaml')
    writeFileSync(path, text)
    const {status, stdout, stderr} = spawnSync('cloud-init', ['schema', '--config-file', path], {encoding: 'utf8'})
    expect(`${status} ${stdout}${stderr}`).toMatch(/^0 .*Valid/)
  }
})

/** cloud-init's own reading of a message, up to the one configuration that its modules get. */
const processor = `
import sys, json
from cloudinit import user_data, handlers, helpers, util
from cloudinit.handlers.cloud_config import CloudConfigPartHandler
paths = helpers.Paths({'cloud_dir': sys.argv[1], 'run_dir': sys.argv[1]})
message = user_data.UserDataProcessor(paths).process(sys.stdin.buffer.read())
handler = CloudConfigPartHandler(paths)
handler.handle_part(None, handlers.CONTENT_START, None, None, None, None)
parts = []
for part in message.walk():
    if part.is_multipart(): continue
    kind, text = part.get_content_type(), util.fully_decoded_payload(part)
    parts.append([kind, text])
    if kind == 'text/cloud-config': handler.handle_part(None, kind, 'part', text, None, part)
print(json.dumps({'parts': parts, 'config': handler.cloud_buf}))
`

const python = 'python3'
const noLibrary =
  process.env.CI !== 'true' && spawnSync(python, ['-c', 'import cloudinit']).status !== 0
    ? 'cloud-init is not installed for python3'
    : undefined

describe('beside user-data of the user', () => {
  const process_ = (document: string | Uint8Array): {parts: [string, string][]; config: Record<string, unknown>} =>
    JSON.parse(execFileSync(python, ['-c', processor, temporaryDirectory()], {input: document, encoding: 'utf8'}))
  const ours = render({packages: ['curl'], runCommands: ['ours'], timezone: 'UTC'}, {setup: 'setup'})
  const theirs = `#cloud-config
users: [default, {name: "jürgen"}]
runcmd: [[theirs, "1:30"]]
timezone: Europe/Berlin
ssh_keys: {rsa_private: theirs}
disable_root: false
`
  const joined = {
    runcmd: ['ours', ['theirs', '1:30']],
    packages: ['curl'],
    bootcmd: [['sh', '-c', 'setup', 'vmctl-setup', 'boot']],
    timezone: 'Europe/Berlin',
    disable_root: false,
    ssh_keys: {rsa_private: 'theirs', ed25519_private: hostKey.privateKey, ed25519_public: hostKey.publicKey},
    users: [expect.objectContaining({name: 'deploy'}), 'default', {name: 'jürgen'}],
  }

  testUnless(noLibrary)('settings of the user win, maps are joined, and lists hold both', () => {
    expect(process_(mergeDocuments(theirs, ours)).config).toMatchObject(joined)
  })
  testUnless(noLibrary)('also when it is compressed, or a message of several parts itself', () => {
    expect(process_(mergeDocuments(gzipSync(theirs), ours)).config).toMatchObject(joined)
    const script = '#!/bin/sh\necho hi\n'
    const message = `Content-Type: multipart/mixed; boundary="XX"\nMIME-Version: 1.0\n\n--XX\nContent-Type: text/x-shellscript; charset="utf-8"\n\n${script}\n--XX\nContent-Type: text/cloud-config; charset="utf-8"\nContent-Transfer-Encoding: 8bit\n\n${theirs.replace('ü', 'u')}\n--XX--\n`
    const {parts, config} = process_(mergeDocuments(message, ours))
    expect(parts.map(([kind]) => kind)).toEqual(['text/x-shellscript', 'text/cloud-config', 'text/cloud-config'])
    expect(config).toMatchObject({...joined, users: [expect.anything(), 'default', {name: 'jurgen'}]})
  })
  testUnless(noLibrary)('a script stays a script, byte for byte', () => {
    const script = `#!/bin/sh\r\n--vmctl\n. \n${'ä'.repeat(3000)}\n\n`
    const {parts, config} = process_(mergeDocuments(script, ours))
    expect(parts[0]).toEqual(['text/x-shellscript', script])
    expect(config).toMatchObject({runcmd: ['ours']})
  })
})
