import {createHash} from 'node:crypto'
import {existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, statSync, symlinkSync} from 'node:fs'
import {join} from 'node:path'

import {expect} from 'vitest'

import {microVm} from '../support/vm-guests.ts'
import {expectFailure} from '../support/vm-lab.ts'
import {scenario} from '../support/vm-scenario.ts'

/** `vmctl cp` into a real guest and out of it: files and trees, each compared with what the other side says of it. One VM for all. */
const {lab, step, check} = scenario('copies')

const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex')
const inGuest = async (path: string): Promise<string> => (await lab.guest('box', `sha256sum '${path}'`)).split(' ')[0] ?? ''
const bytes = (length: number): Buffer => Buffer.from(Array.from({length}, (_, index) => (index * 2654435761) >>> 24))

step('a file goes in and comes out byte for byte, and directories that are missing are made', async () => {
  lab.vmfile(microVm('box'))
  await lab.ok('up')
  const local = lab.write('data.bin', bytes(3_000_001), 0o640)
  await lab.ok('cp', 'data.bin', 'box:new/er/data.bin')
  expect(await inGuest('new/er/data.bin')).toBe(sha256(local))
  expect(await lab.guest('box', "stat -c '%a %U' new new/er new/er/data.bin | tr '\\n' ' '")).toBe('755 dev 755 dev 640 dev')
  await lab.ok('cp', 'box:new/er/data.bin', 'back.bin')
  expect(sha256(join(lab.project, 'back.bin'))).toBe(sha256(local))
  expect(statSync(join(lab.project, 'back.bin')).mode & 0o777).toBe(0o640)
})

check('what the guest made comes out with the hash that the guest tells, also as root', async () => {
  await lab.guest('box', 'dd if=/dev/urandom of=random bs=65536 count=40 2>/dev/null')
  mkdirSync(join(lab.project, 'out'), {recursive: true})
  await lab.ok('cp', 'box:random', 'out/random')
  expect(sha256(join(lab.project, 'out/random'))).toBe(await inGuest('random'))
  await lab.ok('cp', '--privileged', 'box:/etc/shadow', 'out/shadow')
  expect(readFileSync(join(lab.project, 'out/shadow'), 'utf8')).toContain('root:')
  expectFailure(await lab.vmctl('cp', 'box:/etc/shadow', 'out/none'), 6, 'vmctl::guest::copy_failed')
  expect(existsSync(join(lab.project, 'out/none'))).toBe(false)
})

check('a tree goes in, only what differs goes again, and it comes out as it was', async () => {
  for (let index = 0; index < 40; index++) lab.write(`tree/sub/${index}.txt`, `${index}\n`)
  lab.write("tree/it's a name", 'x', 0o755)
  lab.write('tree/large', bytes(700_000))
  symlinkSync('sub/1.txt', join(lab.project, 'tree/link'))
  const first = await lab.json<{sent: number; unchanged: number}>('cp', 'tree', 'box:tree')
  expect(first).toMatchObject({sent: 44, unchanged: 0})
  lab.write('tree/sub/7.txt', 'changed\n')
  expect(await lab.json('cp', 'tree', 'box:tree')).toMatchObject({sent: 1, unchanged: 43})
  expect(await inGuest('tree/large')).toBe(sha256(join(lab.project, 'tree/large')))
  const sums = await lab.guest('box', 'cd tree && find . -type f -exec sha256sum {} + | sort -k 2')
  await lab.ok('cp', 'box:tree', 'came-back')
  const back = join(lab.project, 'came-back')
  const files = readdirSync(back, {recursive: true, encoding: 'utf8'}).filter(
    (name) => statSync(join(back, name)).isFile() && name !== 'link',
  )
  expect(files.map((name) => `${sha256(join(back, name))}  ./${name}`).toSorted()).toEqual(sums.split('\n').toSorted())
  expect(readlinkSync(join(back, 'link'))).toBe('sub/1.txt')
  expect(statSync(join(back, "it's a name")).mode & 0o777).toBe(0o755)
})

check('nothing is left beside what was copied', async () => {
  expect(await lab.guest('box', "find / -xdev -name '.vmctl-*' 2>/dev/null | wc -l")).toBe('0')
  expect(readdirSync(lab.project).filter((name) => name.startsWith('.'))).toEqual([])
})
