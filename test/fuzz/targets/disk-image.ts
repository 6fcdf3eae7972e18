import {strict as assert} from 'node:assert'
import {writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {auditImage} from '../../../src/image/audit.ts'
import {sniffDisk} from '../../../src/image/disk-format.ts'
import {parseQcow2Header} from '../../../src/image/qcow2-header.ts'
import {run} from '../../../src/host/process.ts'
import {resultOrFailure, type Target} from '../target.ts'
import {scratchDirectory} from './directory.ts'

export const diskImage: Target = {
  about: 'the header of a disk image, before and after qemu-img has looked at it',
  dictionary: [
    'QFI\u00FB',
    '/etc/passwd',
    'json:{"driver":"null-co"}',
    'nbd:localhost:1',
    'KDMV',
    'vhdxfile',
    'data-file',
    'raw',
    '\0\0\0\x03',
    '\0\0\0\x68',
    'DATA',
    '# Disk DescriptorFile\n',
    'parentCID=ffffffff\n',
    'RW 1 SPARSE "/etc/passwd"\n',
  ],
  open() {
    const scratch = scratchDirectory()
    const path = join(scratch.path, 'disk')
    let accepted = 0
    return {
      async try(input) {
        const sniffed = sniffDisk(input, input.length)
        if (sniffed.kind === 'refused') assert.ok(sniffed.reason.length > 0)
        const header = parseQcow2Header(input, input.length)
        if (header?.backingFile !== undefined) assert.equal(sniffed.kind, 'refused')
        if (sniffed.kind !== 'disk') return
        accepted += 1
        // A program is started for these, which takes longer than everything else.
        if (accepted % 100 !== 1) return
        writeFileSync(path, input)
        const codes = [
          'vmctl::image::refused',
          'vmctl::image::format_detection_failed',
          'vmctl::image::conversion_failed',
          'vmctl::host::program_failed',
        ] as const
        const audited = await resultOrFailure(codes, () => auditImage(path, {source: 'the image'}))
        if (!audited) return
        assert.equal(audited.format, sniffed.format)
        assert.ok(audited.virtualSizeBytes > 0 && audited.virtualSizeBytes <= 64 * 2 ** 40)
        const {stdout} = await run('qemu-img', ['info', '-U', '--output=json', '-f', audited.format, path])
        assert.doesNotMatch(stdout, /"(?:backing-filename|data-file)":/, 'qemu-img knows of another file')
      },
      [Symbol.asyncDispose]: async () => scratch.remove(),
    }
  },
}
