import {chmodSync, mkdirSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {expect, onTestFinished, test} from 'vitest'

import {temporaryDirectory} from '../../test/support/builders.ts'
import {defaultStateDirectory, expandTilde, findProgram, resolvePath} from './paths.ts'

const withHome = (home: string): void => {
  const old = process.env.HOME
  process.env.HOME = home
  onTestFinished(() => {
    if (old === undefined) delete process.env.HOME
    else process.env.HOME = old
  })
}

test('a tilde is the home directory, and only at the front and alone', () => {
  withHome('/home/me')
  expect(['~', '~/x', '~root/x', 'a/~', '~x', './~/x', ''].map(expandTilde)).toEqual([
    '/home/me',
    '/home/me/x',
    '~root/x',
    'a/~',
    '~x',
    './~/x',
    '',
  ])
})

test('relative paths start at the base', () => {
  withHome('/home/me')
  expect(resolvePath('a/../b', '/base')).toBe('/base/b')
  expect(resolvePath('/a/./b/', '/base')).toBe('/a/b')
  expect(resolvePath('~/b', '/base')).toBe('/home/me/b')
  expect(resolvePath('~root/b', '/base')).toBe('/base/~root/b')
})

test.each([
  [{VMCTL_STATE_DIR: '/a', XDG_DATA_HOME: '/x', HOME: '/h'}, '/a'],
  [{VMCTL_STATE_DIR: 'rel', HOME: '/h'}, join(process.cwd(), 'rel')],
  [{VMCTL_STATE_DIR: '', XDG_DATA_HOME: '/x', HOME: '/h'}, '/x/vmctl'],
  [{XDG_DATA_HOME: 'relative', HOME: '/h'}, '/h/.local/share/vmctl'],
  [{HOME: '/h'}, '/h/.local/share/vmctl'],
  [{HOME: '/'}, `/tmp/vmctl-${process.getuid?.()}`],
  [{HOME: '/nonexistent'}, `/tmp/vmctl-${process.getuid?.()}`],
])('the state directory for %j is %s', (env, expected) => {
  expect(defaultStateDirectory(env)).toBe(expected)
})

test('a program is the first executable one on PATH', async () => {
  const directory = temporaryDirectory()
  for (const [name, mode] of [
    ['a', 0o644],
    ['b', 0o755],
    ['c', 0o755],
  ] as const) {
    mkdirSync(join(directory, name))
    writeFileSync(join(directory, name, 'prog'), '')
    chmodSync(join(directory, name, 'prog'), mode)
  }
  const env = {PATH: ['none', 'a', 'b', 'c'].map((name) => join(directory, name)).join(':')}
  expect(await findProgram('prog', env)).toBe(join(directory, 'b/prog'))
  expect(await findProgram('other', env)).toBeUndefined()
  expect(await findProgram('prog', {})).toBeUndefined()
  expect(await findProgram(join(directory, 'c/prog'), env)).toBe(join(directory, 'c/prog'))
  expect(await findProgram(join(directory, 'a/prog'), env)).toBeUndefined()
})
