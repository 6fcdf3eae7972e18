import {spawnSync} from 'node:child_process'
import {chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterEach, beforeEach, describe, expect, test} from 'vitest'

import {guestShells} from '../../../test/support/shells.ts'
import {emptySetup, type GuestSetup, setupHashes, setupScript} from './script.ts'

const setup: GuestSetup = {
  ...emptySetup,
  hosts: [
    {ip: '10.10.0.2', names: ['db']},
    {ip: '10.10.0.3', names: ['web-0', 'web']},
  ],
  environment: {MODE: 'prod', MOTTO: "it's $HOME and `more`", HASH: 'a # b', LINES: 'a\nb', LONG: 'x'.repeat(2000)},
}

test('hashes name what a setup holds, and nothing else', () => {
  expect(setupHashes(emptySetup)).toEqual({})
  expect(Object.keys(setupHashes(setup))).toEqual(['names of the stack', 'env'])
  const other = {...setup, environment: {MODE: 'test'}}
  expect(setupHashes(other)['names of the stack']).toBe(setupHashes(setup)['names of the stack'])
  expect(setupHashes(other).env).not.toBe(setupHashes(setup).env)
})

describe.each(guestShells())('under $name', (shell) => {
  const lacking = shell.missing
  let root: string

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'vmctl-setup-'))
    mkdirSync(join(root, 'etc'))
    mkdirSync(join(root, 'var/lib'), {recursive: true})
  })
  afterEach(() => rmSync(root, {recursive: true, force: true}))

  const apply = (wanted: GuestSetup, ...args: readonly string[]) => {
    const script = setupScript(wanted).replaceAll(/\/(?=etc\/|var\/lib)/g, `${root}/`)
    const {status, stderr} = spawnSync(shell.sh, ['-c', script, 'vmctl-setup', ...args], {encoding: 'utf8'})
    return {status, stderr}
  }
  const hosts = (): string => readFileSync(join(root, 'etc/hosts'), 'utf8')

  test.skipIf(lacking)('keeps what is not ours, its mode, and changes nothing the second time', () => {
    writeFileSync(join(root, 'etc/hosts'), '127.0.0.1 localhost\n::1 ip6-localhost')
    chmodSync(join(root, 'etc/hosts'), 0o640)
    expect(apply(setup)).toEqual({status: 0, stderr: ''})
    expect(hosts()).toBe('127.0.0.1 localhost\n::1 ip6-localhost\n# vmctl begin\n10.10.0.2 db\n10.10.0.3 web-0 web\n# vmctl end\n')
    expect(readFileSync(join(root, 'etc/environment'), 'utf8')).toBe(
      '# vmctl begin\nMODE="prod"\nMOTTO="it\'s $HOME and `more`"\n# vmctl end\n',
    )
    const {ino, mode} = statSync(join(root, 'etc/hosts'))
    expect(mode & 0o777).toBe(0o640)
    expect(apply(setup)).toEqual({status: 0, stderr: ''})
    expect(statSync(join(root, 'etc/hosts')).ino).toBe(ino)
    expect(readdirSync(join(root, 'etc')).toSorted()).toEqual(['environment', 'hosts'])
  })

  test.skipIf(lacking)('takes back what is no longer wanted, and only that', () => {
    writeFileSync(join(root, 'etc/hosts'), '127.0.0.1 localhost\n')
    apply(setup)
    writeFileSync(join(root, 'etc/hosts'), `${hosts()}192.0.2.1 mine\n`)
    expect(apply({...setup, hosts: [{ip: '10.10.0.2', names: ['db']}]}).status).toBe(0)
    expect(hosts()).toBe('127.0.0.1 localhost\n192.0.2.1 mine\n# vmctl begin\n10.10.0.2 db\n# vmctl end\n')
    expect(apply(emptySetup).status).toBe(0)
    expect(hosts()).toBe('127.0.0.1 localhost\n192.0.2.1 mine\n')
  })

  test.skipIf(lacking)('loses nothing behind a mark whose end somebody has removed', () => {
    writeFileSync(join(root, 'etc/hosts'), '127.0.0.1 localhost\n# vmctl begin\n192.0.2.1 mine\n')
    expect(apply(setup).status).toBe(0)
    expect(hosts()).toContain('192.0.2.1 mine\n')
    expect(hosts()).toContain('10.10.0.2 db\n')
  })

  test.skipIf(lacking)('steps back at a later boot', () => {
    expect(apply(setup, 'boot').status).toBe(0)
    expect(hosts()).toContain('10.10.0.2 db')
    expect(apply(emptySetup, 'boot').status).toBe(0)
    expect(hosts()).toContain('10.10.0.2 db')
  })

  test.skipIf(lacking)('says what it cannot do', () => {
    rmSync(join(root, 'etc'), {recursive: true})
    const {status, stderr} = apply(setup)
    expect(status).toBe(1)
    expect(stderr).toContain('vmctl-setup: cannot write')
  })
})
