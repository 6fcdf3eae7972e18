import {existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync} from 'node:fs'
import {dirname, join} from 'node:path'

import {describe, expect, test} from 'vitest'

import {temporaryDirectory} from '../../test/support/builders.ts'
import {localGuest} from '../../test/support/guests.ts'
import {guestShells} from '../../test/support/shells.ts'
import {programText, shellFromInput} from '../model/guest-program.ts'
import {clean} from './programs/index.ts'

const uuid = '123e4567-e89b-42d3-a456-426614174000'

/** What has to go, with the content of it. */
const secrets: Readonly<Record<string, string>> = {
  'etc/ssh/ssh_host_ed25519_key': 'canary host key',
  'var/lib/dbus/machine-id': 'canary dbus',
  'var/lib/systemd/random-seed': 'canary seed',
  'var/lib/dhcp/dhclient.leases': 'canary lease',
  'var/lib/cloud/instances/web-1/user-data.txt': 'canary user-data',
  'var/lib/cloud/data/instance-id': 'canary instance',
  'etc/netplan/50-cloud-init.yaml': 'canary network',
  'etc/sudoers.d/90-cloud-init-users': 'canary rule',
  'var/lib/vmctl/setup': 'canary setup',
  'var/log/auth.log.1': 'canary log',
  'var/log/journal/0123/system.journal': 'canary journal',
  'tmp/.hidden': 'canary tmp',
  'tmp/a file': 'canary tmp',
  [`var/tmp/vmctl-${uuid}-ABCDEFGHIJ/inner`]: 'export TOKEN=canary',
  [`home/it's dev/vmctl-${uuid}-ABCDEFGHIJ/inner`]: 'export TOKEN=canary',
  "home/it's dev/.bash_history": 'canary history',
  "home/it's dev/.ssh/authorized_keys": 'canary key',
  "home/it's dev/.ssh/id_ed25519": 'canary private key',
  'root/.ssh/authorized_keys': 'canary key',
  'root/.python_history': 'canary history',
  'var/mail/dev': 'canary mail',
  'var/cache/apt/archives/x.deb': 'canary package',
}

/** What stays as it is. */
const kept: Readonly<Record<string, string>> = {
  "home/it's dev/.ssh/config": 'Host *\n',
  "home/it's dev/vmctl-my-project/notes": 'mine\n',
  "home/it's dev/.bashrc": 'alias\n',
  'etc/sudoers.d/own': 'rule\n',
  'etc/netplan/60-own.yaml': 'own\n',
  'srv/app/data': 'data\n',
}

/** What is there afterwards, and says something else. */
const changed: Readonly<Record<string, readonly [before: string, after: string]>> = {
  'etc/machine-id': ['0123456789abcdef\n', ''],
  'etc/hostname': ['web\n', 'localhost\n'],
  'etc/hosts': [
    '127.0.0.1 localhost\n127.0.1.1 web web\n# vmctl begin\n10.0.0.2 db\n# vmctl end\n::1 localhost\n',
    '127.0.0.1 localhost\n::1 localhost\n',
  ],
  'etc/environment': ['PATH=/bin\n# vmctl begin\nTOKEN="canary"\n# vmctl end\n\n', 'PATH=/bin\n\n'],
  'etc/fstab': ['# vmctl begin\nno end\n', '# vmctl begin\nno end\n'],
  'etc/doas.conf': [
    'permit persist :wheel\npermit nopass dev\npermit nopass developer\n',
    'permit persist :wheel\npermit nopass developer\n',
  ],
  'etc/inittab': [
    'ttyS0::respawn:/sbin/getty -n -l /usr/local/sbin/vmctl-autologin -L 115200 ttyS0 vt100\n',
    'ttyS0::respawn:/sbin/getty -L 115200 ttyS0 vt100\n',
  ],
  'var/log/auth.log': ['canary log\n', ''],
}

const makeRoot = (): string => {
  const root = temporaryDirectory()
  const before = Object.entries(changed).map(([path, [text]]) => [path, text] as const)
  for (const [path, text] of [...Object.entries(secrets), ...Object.entries(kept), ...before]) {
    mkdirSync(dirname(join(root, path)), {recursive: true})
    writeFileSync(join(root, path), text)
  }
  writeFileSync(
    join(root, 'etc/passwd'),
    `root:x:0:0::/root:/bin/sh\ndev:x:1000:1000::/home/it's dev:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n`,
  )
  // Links lead to what is not ours.
  const outside = join(temporaryDirectory(), 'precious')
  writeFileSync(outside, 'precious')
  symlinkSync(outside, join(root, 'tmp/link'))
  symlinkSync(outside, join(root, 'var/log/link'))
  symlinkSync(outside, join(root, 'etc/dhcpcd.duid'))
  return root
}

const everything = (root: string): string =>
  readdirSync(root, {recursive: true, encoding: 'utf8'})
    .filter((path) => statSync(join(root, path)).isFile())
    .map((path) => `${path}: ${readFileSync(join(root, path), 'utf8')}`)
    .join('\n')

describe.each(guestShells())('with the shell and the programs of $name', ({missing, path}) => {
  const guest = localGuest(path, '/')
  const run = async (root: string, change: Partial<Record<'keep' | 'authorized', string>> = {}) => {
    let stderr = ''
    const program = programText(clean, {root, keep: '', login: 'dev', authorized: '', ...change})
    const {code} = await guest.exec(shellFromInput('vmctl-clean'), {
      stdin: `${program}\nexit "$failed"`,
      onStderr: (chunk) => void (stderr += chunk.toString()),
    })
    return {code, stderr}
  }

  test.skipIf(missing)('identity and secrets go, all else stays', async () => {
    const root = makeRoot()
    expect(everything(root)).toContain('canary')
    expect(await run(root)).toEqual({code: 0, stderr: ''})
    expect(everything(root)).not.toContain('canary')
    for (const file of Object.keys(secrets)) expect(existsSync(join(root, file)), file).toBe(false)
    for (const [file, text] of Object.entries(kept)) expect(readFileSync(join(root, file), 'utf8'), file).toBe(text)
    for (const [file, [, after]] of Object.entries(changed)) expect(readFileSync(join(root, file), 'utf8'), file).toBe(after)
    expect(readFileSync(join(root, 'var/log/link'), 'utf8')).toBe('precious')
    expect(readdirSync(join(root, 'tmp'))).toEqual([])
    // The directories that an image has for cloud-init, without those of the instance.
    expect(readdirSync(join(root, 'var/lib/cloud'), {recursive: true, encoding: 'utf8'}).toSorted()).toEqual(['data', 'instances'])
    expect(await run(root), 'once more').toEqual({code: 0, stderr: ''})
  })

  test.skipIf(missing)('what is to be kept is kept, and what is not there is told before anything goes', async () => {
    const root = makeRoot()
    const keep = "/home/it's dev/.ssh/id_ed25519\n/tmp/a file/\n/etc/machine-id"
    expect(await run(root, {keep})).toEqual({code: 0, stderr: ''})
    expect(readFileSync(join(root, "home/it's dev/.ssh/id_ed25519"), 'utf8')).toBe('canary private key')
    expect(readdirSync(join(root, 'tmp'))).toEqual(['a file'])
    expect(readFileSync(join(root, 'etc/machine-id'), 'utf8')).toBe('0123456789abcdef\n')
    expect(readdirSync(root).filter((name) => name.startsWith('.'))).toEqual([])
    const other = makeRoot()
    const {code, stderr} = await run(other, {keep: '/no/such'})
    expect([code, stderr]).toEqual([1, expect.stringContaining('there is no /no/such to keep')])
    expect(existsSync(join(other, 'root/.ssh/authorized_keys'))).toBe(true)
  })

  test.skipIf(missing)('one key can be let in', async () => {
    const root = makeRoot()
    expect(await run(root, {authorized: 'ssh-ed25519 AAAA all'})).toEqual({code: 0, stderr: ''})
    const file = join(root, "home/it's dev/.ssh/authorized_keys")
    expect([readFileSync(file, 'utf8'), statSync(file).mode & 0o777]).toEqual(['ssh-ed25519 AAAA all\n', 0o600])
    expect(readFileSync(join(root, 'etc/sudoers.d/90-cloud-init-users'), 'utf8')).toBe('canary rule')
  })
})
