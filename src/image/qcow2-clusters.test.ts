import {execFileSync} from 'node:child_process'
import {randomBytes} from 'node:crypto'
import {mkdtempSync, rmSync, statSync, truncateSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, beforeAll, describe, expect, test} from 'vitest'

import {auditImage} from './audit.ts'
import {inspectImage} from './inspect.ts'
import {findMissingClusters} from './qcow2-clusters.ts'

let directory: string

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'vmctl-qcow2-'))
  const path = join(directory, 'disk.raw')
  writeFileSync(path, randomBytes(3 * 2 ** 20))
  truncateSync(path, 3 * 2 ** 30 - 2 ** 20)
  // Data at both ends of the disk, so that there are several L2 tables.
  writeFileSync(path, randomBytes(2 ** 20), {flag: 'a'})
})

afterAll(() => {
  rmSync(directory, {recursive: true, force: true})
})

const convert = (name: string, ...options: readonly string[]): string => {
  const path = join(directory, name)
  execFileSync('qemu-img', ['convert', '-q', '-f', 'raw', '-O', 'qcow2', ...options, join(directory, 'disk.raw'), path])
  return path
}

describe.each<[string, readonly string[]]>([
  ['plain', []],
  ['compressed', ['-c']],
  ['version 2', ['-o', 'compat=0.10']],
  ['small clusters', ['-o', 'cluster_size=4096']],
  ['large clusters', ['-o', 'cluster_size=2M']],
  ['extended L2 entries', ['-o', 'extended_l2=on']],
  ['as overlays have it', ['-o', 'extended_l2=on,cluster_size=128k']],
  ['metadata only', ['-o', 'preallocation=metadata']],
])('a qcow2 image: %s', (name, options) => {
  test('whole it is good, cut off it is refused before anything boots from it', async () => {
    const path = convert(`${name}.qcow2`, ...options)
    expect(await findMissingClusters(path)).toBeUndefined()
    expect(await auditImage(path, {source: path})).toEqual({format: 'qcow2', virtualSizeBytes: 3 * 2 ** 30})
    truncateSync(path, Math.floor((statSync(path).size * 2) / 3))
    await expect(auditImage(path, {source: 'disk.qcow2'})).rejects.toMatchObject({
      code: 'vmctl::image::refused',
      message: expect.stringMatching(/^The image disk\.qcow2 is refused: it is cut off: some of its data lies behind the end/),
    })
    expect(await inspectImage(path)).toMatchObject({format: 'qcow2', objection: expect.stringContaining('it is cut off')})
  })
})

test('an empty image lacks nothing', async () => {
  const path = join(directory, 'empty.qcow2')
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, '1G'])
  expect(await findMissingClusters(path)).toBeUndefined()
})
