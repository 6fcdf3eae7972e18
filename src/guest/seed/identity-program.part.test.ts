import {existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync} from 'node:fs'
import {dirname, join} from 'node:path'

import {describe, expect, test} from 'vitest'

import {temporaryDirectory} from '../../../test/support/builders.ts'
import {localGuest} from '../../../test/support/guests.ts'
import {guestShells} from '../../../test/support/shells.ts'
import {programText, shellFromInput} from '../../model/guest-program.ts'
import {takeIdentity} from '../programs/index.ts'

const identity = '123e4567e89b42d3a456426614174000'

const files: Readonly<Record<string, string>> = {
  'etc/machine-id': 'former\n',
  'etc/ssh/ssh_host_ed25519_key': 'former',
  'etc/ssh/ssh_host_rsa_key': 'former',
  'etc/hosts': '127.0.0.1 localhost\n127.0.1.1 former former\n',
  'etc/ssh/sshd_config': 'Port 22\n',
  'home/dev/.ssh/authorized_keys': 'ssh-ed25519 AAAA vmctl shop.web-1\nssh-ed25519 BBBB ann@home\n',
  'var/lib/systemd/random-seed': 'former',
  'var/lib/systemd/credential.secret': 'needed',
  'var/lib/dhcp/dhclient.leases': 'former',
  'var/lib/vmctl/setup': '',
  'srv/data': 'data',
}

const staying = [
  'etc/machine-id',
  'etc/hosts',
  'etc/ssh/sshd_config',
  'home/dev/.ssh/authorized_keys',
  'var/lib/systemd/credential.secret',
  'srv/data',
]

const makeRoot = (): string => {
  const root = temporaryDirectory()
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, file)), {recursive: true})
    writeFileSync(join(root, file), text)
  }
  mkdirSync(join(root, 'var/lib/dbus'))
  symlinkSync('../../../etc/machine-id', join(root, 'var/lib/dbus/machine-id'))
  return root
}

describe.each(guestShells())('with the shell and the programs of $name', ({path, missing}) => {
  const run = async (root: string, change: {host_keys?: string; private_key?: string; identity?: string} = {}) => {
    const guest = localGuest(path, '/')
    let output = ''
    const program = programText(takeIdentity, {
      ...{root, identity, host_keys: 'seeded', key_kind: 'ed25519', private_key: 'PRIVATE\nKEY', public_key: 'ssh-ed25519 AAAA it'},
      ...change,
    })
    const collect = (chunk: Buffer): void => void (output += chunk.toString())
    const {code} = await guest.exec(shellFromInput('vmctl-identity'), {stdin: program, onStdout: collect, onStderr: collect})
    return {code, output}
  }
  const read = (root: string, file: string): string => readFileSync(join(root, file), 'utf8')

  test.skipIf(missing)('what tells it from the other is another or gone, all else stays', async () => {
    const root = makeRoot()
    expect(await run(root)).toEqual({code: 0, output: 'own\n'})
    expect(read(root, 'etc/machine-id')).toBe(`${identity}\n`)
    expect(read(root, 'var/lib/dbus/machine-id')).toBe(`${identity}\n`)
    expect(read(root, 'etc/hosts')).toBe('127.0.0.1 localhost\n')
    expect(read(root, 'home/dev/.ssh/authorized_keys')).toBe('ssh-ed25519 BBBB ann@home\n')
    for (const file of Object.keys(files)) {
      expect(existsSync(join(root, file)), file).toBe(staying.includes(file))
    }
  })

  test.skipIf(missing)('once, also when the guest has made something new since', async () => {
    const root = makeRoot()
    await run(root)
    writeFileSync(join(root, 'etc/ssh/ssh_host_ed25519_key'), 'its own')
    expect(await run(root)).toEqual({code: 0, output: 'own\n'})
    expect(read(root, 'etc/ssh/ssh_host_ed25519_key')).toBe('its own')
    expect(await run(root, {identity: identity.replace('1', '2')})).toEqual({code: 0, output: 'own\n'})
    expect(existsSync(join(root, 'etc/ssh/ssh_host_ed25519_key'))).toBe(false)
  })

  test.skipIf(missing)('a guest that runs gets a host key, for root alone; one that has its own keeps it', async () => {
    const root = makeRoot()
    expect(await run(root, {host_keys: 'own'})).toEqual({code: 0, output: 'own\n'})
    const key = join(root, 'etc/ssh/ssh_host_ed25519_key')
    expect([readFileSync(key, 'utf8'), statSync(key).mode & 0o777]).toEqual(['PRIVATE\nKEY\n', 0o600])
    expect(read(root, 'etc/ssh/ssh_host_ed25519_key.pub')).toBe('ssh-ed25519 AAAA it\n')
    expect(existsSync(join(root, 'etc/ssh/ssh_host_rsa_key'))).toBe(false)
    const other = makeRoot()
    expect(await run(other, {host_keys: 'stay'})).toEqual({code: 0, output: 'own\n'})
    expect(read(other, 'etc/ssh/ssh_host_rsa_key')).toBe('former')
  })

  test.skipIf(missing)('a guest without a machine-id gets none', async () => {
    const root = temporaryDirectory()
    expect(await run(root)).toEqual({code: 0, output: 'own\n'})
    expect(existsSync(join(root, 'etc/machine-id'))).toBe(false)
  })
})
