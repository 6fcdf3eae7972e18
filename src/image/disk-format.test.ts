import {execFileSync} from 'node:child_process'
import {readFileSync, rmSync, truncateSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {afterAll, beforeAll, describe, expect, it} from 'vitest'

import {makeDirectory, makeGreedyVhdx, makeImage, makeRawDisk} from '../../test/support/images.ts'
import {missingProgram, testUnless} from '../../test/support/programs.ts'
import {auditImage, detectFormat} from './audit.ts'
import {inspectImage} from './inspect.ts'

let directory: string

beforeAll(() => {
  directory = makeDirectory()
})

afterAll(() => rmSync(directory, {recursive: true, force: true}))

const write = (name: string, content: Buffer | string): string => {
  const path = join(directory, name)
  writeFileSync(path, content)
  return path
}

const qemuImg = (...args: readonly string[]): void => {
  execFileSync('qemu-img', args, {cwd: directory, stdio: 'pipe'})
}

/** A good qcow2 image with some of its header replaced. */
const forged = (change: (image: Buffer) => void): Buffer => {
  const image = makeImage(directory, 'qcow2')
  change(image)
  return image
}

/** Puts a header extension where the first one is. */
const extension = (image: Buffer, type: number, text: string): void => {
  const at = image.readUInt32BE(100)
  image.writeUInt32BE(type, at)
  image.writeUInt32BE(text.length, at + 4)
  image.write(text, at + 8)
}

const malicious: Readonly<Record<string, () => string>> = {
  'qcow2 with a backing file': () => {
    write('secret.raw', makeRawDisk(65_536))
    qemuImg('create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', join(directory, 'secret.raw'), 'backing.qcow2')
    return join(directory, 'backing.qcow2')
  },
  'qcow2 with a backing file that does not exist': () =>
    write(
      'shadow.qcow2',
      forged((image) => {
        image.writeBigUInt64BE(400n, 8)
        image.writeUInt32BE(11, 16)
        image.write('/etc/shadow', 400)
      }),
    ),
  'qcow2 with a JSON backing file': () =>
    write(
      'json.qcow2',
      forged((image) => {
        const name = 'json:{"driver":"raw","file":{"driver":"host_device","filename":"/dev/sda"}}'
        image.writeBigUInt64BE(400n, 8)
        image.writeUInt32BE(name.length, 16)
        image.write(name, 400)
      }),
    ),
  ...Object.fromEntries(
    ['secret.raw', '../secret.raw', 'nbd://127.0.0.1:10809/x', 'ssh://root@127.0.0.1/etc/shadow', 'fd:0', 'file:/etc/shadow'].map(
      (name) => [
        `qcow2 with the backing file ${name}`,
        () =>
          write(
            'named-backing.qcow2',
            forged((image) => {
              image.writeBigUInt64BE(400n, 8)
              image.writeUInt32BE(name.length, 16)
              image.write(name, 400)
            }),
          ),
      ],
    ),
  ),
  'qcow2 with snapshots behind its end': () =>
    write(
      'far-snapshots.qcow2',
      forged((image) => {
        image.writeUInt32BE(3, 60)
        image.writeBigUInt64BE(2n ** 40n, 64)
      }),
    ),
  'qcow2 with refcounts behind its end': () =>
    write(
      'far-refcount.qcow2',
      forged((image) => image.writeBigUInt64BE(2n ** 40n, 48)),
    ),
  'qcow2 whose L2 tables lie behind its end': () =>
    write(
      'far-l2.qcow2',
      forged((image) => image.writeBigUInt64BE((1n << 63n) | (1n << 40n), Number(image.readBigUInt64BE(40)))),
    ),
  'qcow2 whose L1 table is too short for its disk': () =>
    write(
      'short-l1.qcow2',
      forged((image) => image.writeBigUInt64BE(2n ** 44n, 24)),
    ),
  'qcow2 with a bitmap directory behind its end': () =>
    write(
      'bitmaps.qcow2',
      forged((image) => {
        image.writeBigUInt64BE(1n, 88)
        const at = image.readUInt32BE(100)
        image.writeUInt32BE(0x2385_2875, at)
        image.writeUInt32BE(24, at + 4)
        image.writeUInt32BE(60_000, at + 8)
        image.writeBigUInt64BE(2n ** 20n, at + 16)
        image.writeBigUInt64BE(2n ** 40n, at + 24)
      }),
    ),
  'a VDI of 2^60 bytes': () => {
    const image = makeImage(directory, 'vdi')
    image.writeBigUInt64LE(2n ** 60n, 368)
    return write('huge.vdi', image)
  },
  'a VDI with four billion blocks': () => {
    const image = makeImage(directory, 'vdi')
    image.writeUInt32LE(0xffff_ffff, 384)
    return write('blocks.vdi', image)
  },
  'a VDI with a parent': () => {
    const image = makeImage(directory, 'vdi')
    image.fill(7, 424, 440)
    return write('parent.vdi', image)
  },
  'a VMDK of 2^60 bytes': () => {
    const image = makeImage(directory, 'vmdk')
    image.writeBigUInt64LE(2n ** 51n, 12)
    return write('huge.vmdk', image)
  },
  'a VMDK whose grain tables have four billion entries': () => {
    const image = makeImage(directory, 'vmdk')
    image.writeUInt32LE(0xffff_ffff, 44)
    return write('grains.vmdk', image)
  },
  'a VHDX whose headers are damaged': () => {
    const image = makeImage(directory, 'vhdx')
    image.fill(0, 64 * 1024, 192 * 1024)
    return write('headers.vhdx', image)
  },
  'a VHDX with a region that overlaps another': () => {
    const image = makeGreedyVhdx(directory, 2 ** 20)
    return write('regions.vhdx', image.fill(0xff, 192 * 1024 + 32, 192 * 1024 + 40))
  },
  'qcow2 with a backing file behind its end': () =>
    write(
      'far.qcow2',
      forged((image) => image.writeBigUInt64BE(2n ** 62n, 8)),
    ),
  'qcow2 with an external data file': () => {
    qemuImg('create', '-q', '-f', 'qcow2', '-o', 'data_file=data.raw,data_file_raw=on', 'external.qcow2', '1M')
    return join(directory, 'external.qcow2')
  },
  'qcow2 that names a data file without the feature bit': () =>
    write(
      'named.qcow2',
      forged((image) => extension(image, 0x4441_5441, '/etc/shadow')),
    ),
  'qcow2 that is encrypted (LUKS)': () =>
    write(
      'crypt.qcow2',
      forged((image) => image.writeUInt32BE(2, 32)),
    ),
  'qcow2 with unknown features': () =>
    write(
      'features.qcow2',
      forged((image) => image.writeBigUInt64BE(1n << 40n, 72)),
    ),
  'qcow2 that is marked as corrupt': () =>
    write(
      'corrupt.qcow2',
      forged((image) => image.writeBigUInt64BE(2n, 72)),
    ),
  'qcow2 with a huge L1 table': () =>
    write(
      'l1.qcow2',
      forged((image) => image.writeUInt32BE(0x7fff_ffff, 36)),
    ),
  'qcow2 with a huge refcount table': () =>
    write(
      'refcount.qcow2',
      forged((image) => image.writeUInt32BE(0x7fff_ffff, 56)),
    ),
  'qcow2 with a wild cluster size': () =>
    write(
      'cluster.qcow2',
      forged((image) => image.writeUInt32BE(63, 20)),
    ),
  'qcow2 with a billion snapshots': () =>
    write(
      'snapshots.qcow2',
      forged((image) => image.writeUInt32BE(1_000_000_000, 60)),
    ),
  'qcow2 of an unknown version': () =>
    write(
      'version.qcow2',
      forged((image) => image.writeUInt32BE(9, 4)),
    ),
  'qcow2 whose tables are cut off': () => {
    const path = write(
      'cut.qcow2',
      forged(() => undefined),
    )
    truncateSync(path, 65_536)
    return path
  },
  'qcow2 of 80 bytes': () => write('short.qcow2', forged(() => undefined).subarray(0, 80)),
  'qcow2 of 4 bytes': () => write('magic.qcow2', Buffer.from('QFI\xfb', 'latin1')),
  'qcow2 whose header claims to be longer than the file': () =>
    write(
      'length.qcow2',
      forged((image) => image.writeUInt32BE(0xffff_fff0, 100)),
    ),
  'qcow2 with an endless extension': () =>
    write(
      'extension.qcow2',
      forged((image) => {
        extension(image, 0x1234_5678, 'x')
        image.writeUInt32BE(0xffff_ffff, image.readUInt32BE(100) + 4)
      }),
    ),
  'qcow2 of 100 TiB': () => {
    qemuImg('create', '-q', '-f', 'qcow2', '-o', 'cluster_size=2M', 'large.qcow2', '100T')
    return join(directory, 'large.qcow2')
  },
  'a VMDK descriptor that names a host file': () =>
    write(
      'flat.vmdk',
      '# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType="monolithicFlat"\n\nRW 2048 FLAT "/etc/shadow" 0\n',
    ),
  'a VMDK with a parent': () => {
    const image = makeImage(directory, 'vmdk')
    image.write('parentCID=12345678', image.indexOf('parentCID='))
    return write('parent.vmdk', image)
  },
  'a VMDK whose header has no capacity': () => {
    const image = makeImage(directory, 'vmdk')
    image.writeBigUInt64LE(0n, 12)
    return write('capacity.vmdk', image)
  },
  'a VMDK in two pieces': () => {
    qemuImg('create', '-q', '-f', 'vmdk', '-o', 'subformat=twoGbMaxExtentSparse', 'split.vmdk', '1M')
    return join(directory, 'split.vmdk')
  },
  'a LUKS container': () => write('disk.luks', Buffer.concat([Buffer.from('LUKS\xba\xbe\0\x01', 'latin1'), Buffer.alloc(65_536)])),
  'a QED image with a backing file': () => {
    qemuImg('create', '-q', '-f', 'qed', '-F', 'raw', '-b', join(directory, 'secret.raw'), 'disk.qed')
    return join(directory, 'disk.qed')
  },
  'a VHD image': () => write('disk.vhd', makeImage(directory, 'vpc')),
  'a Parallels image': () => write('disk.hdd', makeImage(directory, 'parallels')),
  'an error page': () => write('page.qcow2', `<!DOCTYPE html><html>${'x'.repeat(2000)}</html>`),
  'a text': () => write('text.img', 'no image\n'.repeat(10_000)),
  'an empty file': () => write('empty.img', ''),
  zeros: () => write('zeros.img', Buffer.alloc(2 ** 20)),
}

const programs = {'a QED image with a backing file': 'qcow2 with a backing file'} as const

testUnless(missingProgram('prlimit'))('refused because qemu-img may take no more than 1 GiB of memory for it', async () => {
  const path = write('greedy.vhdx', makeGreedyVhdx(directory, 3 * 2 ** 30))
  await expect(auditImage(path, {source: 'greedy.vhdx'})).rejects.toMatchObject({
    code: 'vmctl::image::format_detection_failed',
    message: expect.stringContaining('Cannot allocate memory'),
  })
})

describe('refused', () => {
  it.each(Object.keys(malicious))('%s', async (name) => {
    const needs = programs[name as keyof typeof programs]
    if (needs) malicious[needs]?.()
    const path = malicious[name]?.() ?? ''
    const refusal = {code: expect.stringMatching(/^vmctl::image::(?:refused|format_detection_failed)$/)}
    await expect(auditImage(path, {source: name})).rejects.toMatchObject(refusal)
  })

  it('is told without opening what the header references', async () => {
    const path = malicious['qcow2 with a backing file that does not exist']?.() ?? ''
    await expect(inspectImage(path)).resolves.toMatchObject({format: 'qcow2', backingFile: '/etc/shadow', virtualSizeBytes: 64 * 2 ** 20})
  })
})

describe('accepted', () => {
  it.each(['qcow2', 'vmdk', 'vdi', 'vhdx'])('%s', async (format) => {
    const path = write(`good.${format}`, makeImage(directory, format))
    await expect(auditImage(path, {source: path})).resolves.toEqual({format, virtualSizeBytes: 64 * 2 ** 20})
    await expect(
      auditImage(path, {source: path, declaredFormat: 'qcow2'}).then(
        () => 'qcow2',
        () => 'other',
      ),
    ).resolves.toBe(format === 'qcow2' ? 'qcow2' : 'other')
  })

  it.each(['compat=0.10', 'cluster_size=512', 'extended_l2=on,cluster_size=64k', 'compression_type=zstd', 'lazy_refcounts=on'])(
    'qcow2 with %s',
    async (option) => {
      const path = write('option.qcow2', makeImage(directory, 'qcow2', '-o', option))
      await expect(detectFormat(path)).resolves.toBe('qcow2')
      await expect(auditImage(path, {source: path})).resolves.toMatchObject({format: 'qcow2'})
    },
  )

  it.each(['monolithicSparse', 'streamOptimized'])('vmdk of subformat %s', async (subformat) => {
    const path = write('sub.vmdk', makeImage(directory, 'vmdk', '-o', `subformat=${subformat}`))
    await expect(auditImage(path, {source: path})).resolves.toMatchObject({format: 'vmdk'})
  })

  it('a raw disk by its partition table or file system, anything at all when it is declared', async () => {
    const path = write('disk.img', makeRawDisk(100_000))
    await expect(auditImage(path, {source: path})).resolves.toEqual({format: 'raw', virtualSizeBytes: 100_352})
    const ext4 = Buffer.alloc(4096)
    ext4.writeUInt16LE(0xef53, 1080)
    await expect(detectFormat(write('ext4.img', ext4))).resolves.toBe('raw')
    const nothing = write('nothing.img', Buffer.alloc(4096))
    await expect(auditImage(nothing, {source: nothing, declaredFormat: 'raw'})).resolves.toMatchObject({format: 'raw'})
  })

  it('a file whose name is a trap', async () => {
    for (const name of ['json:{"driver":"nbd"}', 'a,b=c.qcow2', '-o help', 'nbd:localhost:10809', 'ümläut\n.qcow2', '%s$(id).qcow2']) {
      const path = write(name, makeImage(directory, 'qcow2'))
      await expect(auditImage(path, {source: name})).resolves.toMatchObject({format: 'qcow2'})
      await expect(inspectImage(path)).resolves.toMatchObject({format: 'qcow2', path})
    }
  })
})

it('survives 2,000 headers with random bytes', async () => {
  const {sniffDisk} = await import('./disk-format.ts')
  const images = ['qcow2', 'vmdk', 'vdi', 'vhdx'].map((format) => makeImage(directory, format).subarray(0, 73_728))
  let state = 42
  const random = (limit: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state % limit
  }
  for (let round = 0; round < 2000; round++) {
    const image = Buffer.from(images[round % images.length] ?? [])
    for (let flip = 0; flip < 8; flip++) image[random(flip < 4 ? 128 : 2048)] = random(256)
    const sniffed = sniffDisk(image.subarray(0, random(2) ? image.length : random(512)), image.length)
    expect(['disk', 'refused', 'unknown']).toContain(sniffed.kind)
  }
  expect(readFileSync(join(directory, 'made.vhdx')).length).toBeGreaterThan(0)
})
