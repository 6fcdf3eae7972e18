import {globSync, readFileSync} from 'node:fs'
import {basename, join, resolve} from 'node:path'

import {expect, test} from 'vitest'

import {guestShellNames, loginShells} from './support/shells.ts'

const root = resolve(import.meta.dirname, '..')

/** In every Debian: packages that are essential, or that a minimal installation has; git has fetched the repository. */
const everywhere = [
  ...[
    'apt-get',
    'bash',
    'blkid',
    'cat',
    'chmod',
    'cp',
    'dash',
    'dd',
    'dpkg-deb',
    'du',
    'find',
    'flock',
    'git',
    'ln',
    'mkdir',
    'mkfifo',
    'mkfs.ext4',
    'mount',
    'mv',
    'nsenter',
    'prlimit',
    'sh',
    'sleep',
  ],
  ...['script', 'stty', 'tar', 'tee', 'touch', 'true', 'umount', 'unshare', 'useradd', 'userdel'],
]

/** What a test asks for and does without, where whoever runs it is root. */
const instead = ['sudo']

/** Made by scripts/setup.sh itself, from a package that is not to be installed. */
const unpacked = ['cloud-init', 'python3']

test('every program that a test starts or asks for is one that scripts/setup.sh installs', () => {
  const list = readFileSync(join(root, 'scripts/setup.sh'), 'utf8').matchAll(/^(?:run|test) +(\S+) +\S+ +\S/gm)
  const installed = Array.from(list, ([, thing = '']) => basename(thing))
  const sources = globSync(['test/**/*.ts', 'src/**/*.test.ts', 'bench/**/*.ts'], {cwd: root})
  const calls = sources.flatMap((file) =>
    Array.from(
      readFileSync(join(root, file), 'utf8').matchAll(
        /\b(?:(?:spawn|spawnSync|execFile|execFileSync|missingProgram)\(\s*'([^'\s]+)'|(?:needs|absent)\(((?:\s*'[^'\s]+',?)+))/g,
      ),
      ([, first, all]) => (first ?? all ?? '').split(/[\s',]+/).filter(Boolean),
    ).flat(),
  )
  const programs = new Set([...guestShellNames, ...loginShells, ...calls.map((program) => basename(program))])
  expect(programs).toContain('busybox')
  expect(programs).toContain('nft')
  expect([...programs].filter((program) => ![...installed, ...everywhere, ...instead, ...unpacked].includes(program))).toEqual([])
})
