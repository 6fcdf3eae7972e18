import {execFileSync, spawnSync} from 'node:child_process'
import {chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterEach, beforeEach, describe, expect, test} from 'vitest'

import {missingProgram} from '../../../test/support/programs.ts'
import {absent, sbinPath} from '../../../test/support/vm-lab-programs.ts'
import type {GuestMount} from './mounts.ts'
import {emptySetup, setupHashes, setupNotes, setupScript} from './script.ts'
import {type GuestShare, shareCall} from './shares.ts'

const volume = (change: Partial<Extract<GuestMount, {kind: 'volume'}>> = {}): GuestMount => ({
  kind: 'volume',
  serial: 'vol-0123456789abcdef',
  name: 'pgdata',
  filesystem: 'ext4',
  label: 'vol-01234567',
  target: '/srv/pg data',
  readOnly: false,
  options: ['noatime'],
  ...change,
})

const share = (change: Partial<GuestShare> = {}): GuestShare => ({
  kind: 'share',
  tag: 'share-1',
  target: '/srv/www',
  readOnly: false,
  options: [],
  ...change,
})

test('mounts are part of the setup, and a change of one changes the hash', () => {
  const hash = (...mounts: GuestMount[]) => setupHashes({...emptySetup, mounts})['volumes and shares']
  expect(hash()).toBeUndefined()
  expect(new Set([hash(volume()), hash(share()), hash(volume(), share()), hash(volume({readOnly: true}))]).size).toBe(4)
})

describe('options of shares', () => {
  const optionsOf = (change: Partial<GuestShare>): string[] =>
    [...shareCall(share(change)).matchAll(/'([^']*)'/g)].slice(4).map(([, text]) => text ?? '')

  test.each([
    [{}, 'trans=virtio,version=9p2000.L,msize=512000,cache=mmap,rw', 'rw'],
    [{readOnly: true}, 'trans=virtio,version=9p2000.L,msize=512000,cache=mmap,ro', 'ro'],
    [{options: ['noexec']}, 'trans=virtio,version=9p2000.L,msize=512000,cache=mmap,rw,noexec', 'rw,noexec'],
    [
      {options: ['cache=loose', 'msize=104857600']},
      'trans=virtio,version=9p2000.L,rw,cache=loose,msize=104857600',
      'rw,cache=loose,msize=104857600',
    ],
    [{readOnly: true, options: ['rw', 'nodev']}, 'trans=virtio,version=9p2000.L,msize=512000,cache=mmap,ro,nodev', 'ro,nodev'],
  ] as const)('%j', (change, nine, virtiofs) => {
    expect(optionsOf(change)).toEqual([nine, virtiofs])
  })
})

const lacking = absent('mkfs.ext4', 'blkid', 'debugfs')

describe.each([
  ['dash', ['dash']],
  ['bash', ['bash', '--posix']],
  ['busybox', ['busybox', 'sh']],
] as const)('under %s', (name, shell) => {
  const missing = missingProgram(name, name === 'busybox' ? ['true'] : ['-c', 'true']) ?? (lacking.length > 0 ? lacking.join() : undefined)
  let root: string
  let disk: string

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'vmctl-mounts-'))
    for (const directory of ['etc', 'var/lib', 'dev', 'bin', 'proc/self', 'sys/block/vdb', 'srv'])
      mkdirSync(join(root, directory), {recursive: true})
    disk = join(root, 'dev/vdb')
    writeFileSync(disk, '')
    truncateSync(disk, 8 * 2 ** 20)
    // The kernel ends this one without a newline.
    writeFileSync(join(root, 'sys/block/vdb/serial'), 'vol-0123456789abcdef')
    writeFileSync(join(root, 'sys/block/vdb/size'), `${(8 * 2 ** 20) / 512}\n`)
    writeFileSync(join(root, 'sys/block/vdb/dev'), '254:16\n')
    writeFileSync(join(root, 'proc/self/mountinfo'), '20 1 254:1 / / rw - ext4 /dev/vda1 rw\n')
    // What a mount leads to is all that the script sees of it: another line of mountinfo.
    const mount = `#!/bin/sh
echo "$*" >>${root}/mounted
[ ! -e ${root}/refuses ] || { echo "wrong fs type" >&2; exit 32; }
for target; do :; done
printf '30 20 254:16 / %s rw - ext4 /dev/vdb rw\\n' "$(printf %s "$target" | sed 's/ /\\\\040/g')" >>${root}/proc/self/mountinfo
`
    writeFileSync(join(root, 'bin/mount'), mount)
    chmodSync(join(root, 'bin/mount'), 0o755)
  })
  afterEach(() => rmSync(root, {recursive: true, force: true}))

  const apply = (...mounts: GuestMount[]) => applyChanged((script) => script, ...mounts)
  const applyChanged = (change: (script: string) => string, ...mounts: GuestMount[]) => {
    const wanted = mounts.map((mount) => ({...mount, ...(mount.target !== undefined && {target: join(root, mount.target)})}))
    const script = change(setupScript({...emptySetup, mounts: wanted}))
      .replaceAll(/(?<![\w/])\/(?=etc\/|var\/lib|dev\/(?!null)|proc\/|sys\/)/g, `${root}/`)
      .replaceAll('tries -ge 100', 'tries -ge 1')
      // busybox has a mount of its own, which it prefers to that of PATH.
      .replaceAll(/\bmount (?=-[to] )/g, `${root}/bin/mount `)
    const path = `${root}/bin:${sbinPath()}`
    const {status, stderr} = spawnSync(shell[0], [...shell.slice(1), '-c', script, 'vmctl-setup'], {
      encoding: 'utf8',
      env: {PATH: path, HOME: root, SHLVL: '1'},
    })
    return {status, stderr: stderr.replaceAll(root, '')}
  }
  const fstab = (): string => readFileSync(join(root, 'etc/fstab'), 'utf8').replaceAll(root, '')
  const system = (program: string, ...args: readonly string[]): string =>
    execFileSync(program, args, {encoding: 'utf8', env: {PATH: sbinPath()}, stdio: ['ignore', 'pipe', 'ignore']})
  const uuid = (): string => system('blkid', '-p', '-o', 'value', '-s', 'UUID', disk).trim()
  const files = (): string => system('debugfs', '-R', 'ls -p /', disk)

  test.skipIf(missing)('a disk that was never used is formatted once, and mounted once', () => {
    expect(apply(volume())).toEqual({status: 0, stderr: ''})
    expect(system('blkid', '-p', '-o', 'value', '-s', 'LABEL', disk).trim()).toBe('vol-01234567')
    const first = uuid()
    expect(fstab()).toBe(`# vmctl begin\nUUID=${first} /srv/pg\\040data ext4 rw,noatime,nofail 0 2\n# vmctl end\n`)
    expect(existsSync(join(root, 'var/lib/vmctl/formatting-vol-0123456789abcdef'))).toBe(false)
    system('debugfs', '-w', '-R', 'mkdir kept', disk)
    expect(apply(volume())).toEqual({status: 0, stderr: ''})
    expect(uuid()).toBe(first)
    expect(files()).toContain('/kept/')
    expect(readFileSync(join(root, 'mounted'), 'utf8').split('\n')).toHaveLength(2)
  })

  test.skipIf(missing)('a file system that is shorter than its disk grows; a guest without the program for that says so', () => {
    const mebibytes = (): number => Number(/^Block count: +(\d+)$/m.exec(system('debugfs', '-R', 'stats', disk))?.[1]) / 1024
    const enlarge = (size: number): void => {
      truncateSync(disk, size)
      writeFileSync(join(root, 'sys/block/vdb/size'), `${size / 512}\n`)
    }
    expect(apply(volume()).status).toBe(0)
    expect(mebibytes()).toBe(8)
    // A disk that is as long as its file system needs no program.
    const without = (script: string): string => script.replaceAll('resize2fs', 'resize-is-not-there')
    expect(applyChanged(without, volume())).toEqual({status: 0, stderr: ''})
    enlarge(24 * 2 ** 20)
    const {status, stderr} = applyChanged(without, volume())
    expect(status).toBe(0)
    expect(setupNotes(stderr)).toEqual([
      'the disk of the volume pgdata is larger than its file system, which cannot be grown: the guest has no resize-is-not-there',
    ])
    expect(mebibytes()).toBe(8)
    expect(apply(volume())).toEqual({status: 0, stderr: ''})
    expect(mebibytes()).toBe(24)
  })

  test.skipIf(missing)('anything that lies on it is left alone', () => {
    const contents: Record<string, () => void> = {
      'a byte at the front': () => writeAt(0, 'x'),
      'a byte in the last MiB': () => writeAt(8 * 2 ** 20 - 1, 'x'),
      'a byte just below 1 MiB': () => writeAt(2 ** 20 - 1, 'x'),
      'the mark of LUKS': () => writeAt(0, 'LUKS\xBA\xBE'),
      'a partition table': () => writeAt(510, Buffer.from([0x55, 0xaa])),
      'swap space': () => void system('mkswap', disk),
      'another file system': () => void system('mkfs.ext4', '-q', '-O', '^has_journal', '-t', 'ext2', disk),
    }
    const writeAt = (position: number, text: string | Buffer): void => {
      const content = readFileSync(disk)
      Buffer.from(text as string, 'latin1').copy(content, position)
      writeFileSync(disk, content)
    }
    for (const [what, write] of Object.entries(contents)) {
      writeFileSync(disk, '')
      truncateSync(disk, 8 * 2 ** 20)
      write()
      const before = readFileSync(disk)
      const {status, stderr} = apply(volume())
      expect([what, status], stderr).toEqual([what, 1])
      expect(stderr).toMatch(/^vmctl-setup: the volume pgdata .*; it is left alone\n$/)
      expect(readFileSync(disk).equals(before), what).toBe(true)
      expect(existsSync(join(root, 'mounted')), what).toBe(false)
    }
  })

  test.skipIf(missing)('what was cut off in the middle of formatting begins anew, and nothing else does', () => {
    const content = readFileSync(disk)
    content.fill(0x5a, 4096, 8192)
    writeFileSync(disk, content)
    expect(apply(volume()).status).toBe(1)
    mkdirSync(join(root, 'var/lib/vmctl'), {recursive: true})
    writeFileSync(join(root, 'var/lib/vmctl/formatting-vol-0123456789abcdef'), '')
    expect(apply(volume())).toEqual({status: 0, stderr: ''})
    const first = uuid()
    writeFileSync(join(root, 'var/lib/vmctl/formatting-vol-0123456789abcdef'), '')
    expect(apply(volume()).status).toBe(0)
    expect(uuid()).toBe(first)
  })

  test.skipIf(missing)('a read-only disk is not formatted; a mount that fails is told', () => {
    expect(apply(volume({readOnly: true}))).toEqual({
      status: 1,
      stderr: 'vmctl-setup: the volume pgdata has no file system, and is not formatted while it is read-only\n',
    })
    expect(readFileSync(disk).every((byte) => byte === 0)).toBe(true)
    expect(apply(volume()).status).toBe(0)
    rmSync(join(root, 'proc/self/mountinfo'))
    writeFileSync(join(root, 'proc/self/mountinfo'), '')
    writeFileSync(join(root, 'refuses'), '')
    expect(apply(volume({readOnly: true})).stderr).toBe('vmctl-setup: the volume pgdata cannot be mounted at /srv/pg data: wrong fs type\n')
    // With the journal left unread in the second attempt.
    expect(readFileSync(join(root, 'mounted'), 'utf8')).toContain('-o ro,noatime,noload ')
    expect(fstab()).toBe('')
  })

  test.skipIf(missing)('a disk that is not there is told, and the others go on', () => {
    const {status, stderr} = apply(volume({serial: 'vol-none', name: 'lost', target: '/lost'}), volume())
    expect([status, stderr]).toEqual([1, 'vmctl-setup: the disk of the volume lost is not there\n'])
    expect(fstab()).toContain('/srv/pg\\040data ext4')
  })

  test.skipIf(missing)('a disk without a file system is only waited for', () => {
    const {target: _target, ...bare} = volume({filesystem: 'none'}) as Extract<GuestMount, {kind: 'volume'}>
    expect(apply(bare)).toEqual({status: 0, stderr: ''})
    expect(readFileSync(disk).every((byte) => byte === 0)).toBe(true)
  })

  test.skipIf(missing)('what something else has been mounted over is not there', () => {
    expect(apply(volume()).status).toBe(0)
    const mountinfo = join(root, 'proc/self/mountinfo')
    writeFileSync(mountinfo, `${readFileSync(mountinfo, 'utf8')}31 30 0:40 / ${root}/srv/pg\\040data rw - tmpfs tmpfs rw\n`)
    expect(apply(volume()).status).toBe(0)
    expect(readFileSync(join(root, 'mounted'), 'utf8').trim().split('\n')).toHaveLength(2)
  })

  test.skipIf(missing)('a kernel without the driver of a share is told with what to do', () => {
    writeFileSync(join(root, 'proc/filesystems'), 'nodev\ttmpfs\n\text4\n')
    const {status, stderr} = apply(share())
    expect(status).toBe(1)
    expect(stderr).toContain("vmctl-setup: the share for /srv/www cannot be mounted: the guest's kernel has neither 9p nor virtiofs for it")
  })
})
