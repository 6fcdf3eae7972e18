import {execFileSync, spawn} from 'node:child_process'
import {once} from 'node:events'
import {existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {expect, test} from 'vitest'

import {temporaryDirectory} from '../../test/support/builders.ts'
import {isVmctlError} from '../model/errors.ts'
import type {VolumeSpec} from '../model/storage.ts'
import {isVolumeId, splitId, volumeLabel, volumeSerial, type VolumeStore} from './volume.ts'
import {ensureVolume, listVolumes, readVolume, removeVolume} from './volumes.ts'

const MiB = 2 ** 20
const spec = (change: Partial<VolumeSpec> = {}): VolumeSpec => ({
  id: 'shop.pgdata',
  name: 'pgdata',
  sizeBytes: 64 * MiB,
  filesystem: 'ext4',
  ...change,
})

const makeStore = (): VolumeStore => {
  const directory = temporaryDirectory()
  const lockDirectory = join(directory, 'locks')
  mkdirSync(lockDirectory)
  return {directory: join(directory, 'volumes'), lockDirectory}
}

const {signal} = new AbortController()
const ensure = async (store: VolumeStore, wanted: VolumeSpec): Promise<{path: string; said: string[]}> => {
  const said: string[] = []
  const path = await ensureVolume(store, wanted, {signal, notify: (message) => said.push(message)})
  return {path, said}
}
const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'done',
    (error: unknown) => (isVmctlError(error) ? error.code : String(error)),
  )
const write = (path: string, ...commands: readonly string[]): void => {
  execFileSync('qemu-io', ['-f', 'qcow2', ...commands.flatMap((command) => ['-c', command]), path])
}

test('serials and labels fit, whatever the id; they say which volume it is and stay the same', () => {
  const ids = ['a.b', `${'p'.repeat(63)}.${'n'.repeat(63)}`, 'shop.pgdata', 'shop.pgdata-1', 'f0123abcd.pgdata']
  const serials = ids.map(volumeSerial)
  expect(new Set(serials).size).toBe(ids.length)
  for (const serial of serials) expect(serial).toMatch(/^[a-z0-9-]{1,20}$/)
  for (const id of ids) expect(volumeLabel({id})).toMatch(/^[a-z0-9-]{1,12}$/)
  expect(volumeLabel({id: 'a.b', label: 'mine'})).toBe('mine')
  // Written on disks and in fstabs of guests that exist.
  expect([volumeSerial('shop.pgdata'), volumeLabel({id: 'shop.pgdata'})]).toEqual(['vol-382bfdc7693959c2', 'vol-382bfdc7'])
})

test('an id leads to its place and nowhere else', () => {
  expect(splitId('shop.my.data-1')).toEqual({scope: 'shop', name: 'my.data-1'})
  for (const id of ['', 'a', '.a', 'a.', '../a', 'a./b', 'a.../b', 'a..b', '/a.b', 'a.b/c', '.x.y']) expect(isVolumeId(id), id).toBe(false)
  for (const id of ['a.b', 'f0123abcd.pg_data', 'shop.my.data-1']) expect(isVolumeId(id), id).toBe(true)
})

test('a volume is made once, private, empty, and then left alone', async () => {
  const store = makeStore()
  const {path, said} = await ensure(store, spec())
  expect(path).toBe(join(store.directory, 'shop/pgdata.qcow2'))
  expect([statSync(path).mode & 0o777, statSync(join(store.directory, 'shop')).mode & 0o777]).toEqual([0o600, 0o700])
  write(path, 'write -P 0xab 1M 64k')
  const {ino} = statSync(path)
  expect(await ensure(store, spec())).toEqual({path, said})
  expect([said, statSync(path).ino]).toEqual([[], ino])
  write(path, 'read -P 0xab 1M 64k', 'read -P 0 0 1M')
  expect(await readVolume(store, 'shop.pgdata', {signal})).toMatchObject({
    id: 'shop.pgdata',
    scope: 'shop',
    name: 'pgdata',
    filesystem: 'ext4',
    sizeBytes: 64 * MiB,
    serial: volumeSerial('shop.pgdata'),
  })
})

test('it grows and keeps what is on it; it never shrinks', async () => {
  const store = makeStore()
  const {path} = await ensure(store, spec())
  write(path, 'write -P 0xab 1M 64k')
  expect((await ensure(store, spec({sizeBytes: 128 * MiB}))).said).toEqual([])
  write(path, 'read -P 0xab 1M 64k', 'read -P 0 127M 1M')
  const {said} = await ensure(store, spec({sizeBytes: 32 * MiB}))
  expect(said).toEqual(['the volume pgdata has 128.0 MB and never shrinks; the VMFile asks for 32.0 MB'])
  expect((await readVolume(store, 'shop.pgdata', {signal}))?.sizeBytes).toBe(128 * MiB)
})

test('one that is in use is not touched, and grows later', async () => {
  const store = makeStore()
  const {path} = await ensure(store, spec())
  const user = spawn('qemu-io', ['-f', 'qcow2', path], {stdio: ['pipe', 'pipe', 'inherit']})
  try {
    user.stdin.write('write -P 0xcd 0 64k\n')
    await once(user.stdout, 'data')
    const {said} = await ensure(store, spec({sizeBytes: 128 * MiB}))
    expect(said.join()).toMatch(/^the volume pgdata is in use; it grows to 128.0 MB when/)
    expect((await readVolume(store, 'shop.pgdata', {signal}))?.sizeBytes).toBe(64 * MiB)
  } finally {
    user.stdin.end('quit\n')
    await once(user, 'close')
  }
  expect((await ensure(store, spec({sizeBytes: 128 * MiB}))).said).toEqual([])
  write(path, 'read -P 0xcd 0 64k')
})

test('another file system is refused, and nothing is done', async () => {
  const store = makeStore()
  const {path} = await ensure(store, spec())
  const before = readFileSync(path)
  expect(await codeOf(ensure(store, spec({filesystem: 'xfs', sizeBytes: 128 * MiB})))).toBe('vmctl::volume::mismatch')
  expect(readFileSync(path).equals(before)).toBe(true)
})

test('what a killed vmctl has left is removed, and is no volume', async () => {
  const store = makeStore()
  const directory = join(store.directory, 'shop')
  mkdirSync(directory, {recursive: true})
  writeFileSync(join(directory, '.pgdata.qcow2.1.0123456789ab.tmp'), 'half')
  writeFileSync(join(directory, '.other.qcow2.1.0123456789ab.tmp'), 'half')
  writeFileSync(join(directory, 'pgdata.json'), '{"schema":1')
  expect(await listVolumes(store, {signal})).toEqual([])
  await ensure(store, spec())
  expect(readdirSync(directory).toSorted()).toEqual(['.other.qcow2.1.0123456789ab.tmp', 'pgdata.json', 'pgdata.qcow2'])
})

test('a record that is gone or damaged costs its words, not the volume', async () => {
  const store = makeStore()
  const {path} = await ensure(store, spec())
  const record = join(store.directory, 'shop/pgdata.json')
  for (const text of ['', '{', '[]', '{"schema":1,"id":"x"}', undefined]) {
    if (text === undefined) rmSync(record)
    else writeFileSync(record, text)
    expect((await ensure(store, spec())).path).toBe(path)
    expect(await listVolumes(store, {signal})).toMatchObject([{id: 'shop.pgdata', filesystem: 'none', sizeBytes: 64 * MiB}])
  }
})

test('all of them, sorted; removed with their directory, and only the one that was named', async () => {
  const store = makeStore()
  expect(await listVolumes(store, {signal})).toEqual([])
  await ensure(store, spec({id: 'shop.pgdata-1'}))
  await ensure(store, spec())
  await ensure(store, spec({id: 'blog.data', name: 'data', filesystem: 'none'}))
  expect((await listVolumes(store, {signal})).map(({id}) => id)).toEqual(['blog.data', 'shop.pgdata', 'shop.pgdata-1'])
  await removeVolume(store, 'shop.pgdata', {signal})
  expect((await listVolumes(store, {signal})).map(({id}) => id)).toEqual(['blog.data', 'shop.pgdata-1'])
  await removeVolume(store, 'blog.data', {signal})
  await removeVolume(store, 'blog.data', {signal})
  await removeVolume(store, '../blog', {signal})
  expect(existsSync(join(store.directory, 'blog'))).toBe(false)
  expect(existsSync(join(store.directory, 'shop/pgdata-1.qcow2'))).toBe(true)
})

test('many at once make one volume', async () => {
  const store = makeStore()
  const results = await Promise.all(Array.from({length: 5}, () => ensure(store, spec())))
  expect(new Set(results.map(({path}) => path)).size).toBe(1)
  expect(readdirSync(join(store.directory, 'shop')).toSorted()).toEqual(['pgdata.json', 'pgdata.qcow2'])
})
