import {existsSync, readFileSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {fileURLToPath} from 'node:url'

import fc from 'fast-check'
import {describe, expect, test} from 'vitest'

import {parseVmfile} from '../vmfile/index.ts'
import {importFile, ImportError, printKdl} from '../import/index.ts'
import {group, node} from '../import/kdl.ts'

const fixtures = join(dirname(fileURLToPath(import.meta.url)), '../../fixtures/import')
const read = (name: string): string => readFileSync(join(fixtures, name), 'utf8')
const warningsOf = (name: string): readonly string[] => importFile(name, read(name), 'demo').warnings

describe.each(['web-prod.xml', 'holos.yaml', 'qemu-compose.yaml', 'Vagrantfile'])('%s', (name) => {
  test('becomes the VMFile beside it', async () => {
    await expect(printKdl(importFile(name, read(name), 'demo').nodes)).toMatchFileSnapshot(join(fixtures, `${name}.kdl`))
  })
  test('the VMFile is valid', async () => {
    expect(existsSync(join(fixtures, `${name}.kdl`))).toBe(true)
    const {vms} = await parseVmfile(read(`${name}.kdl`), {
      path: join(fixtures, 'VMFile.kdl'),
      directory: fixtures,
      file: `${name}.kdl`,
      toleratesMissing: true,
    })
    expect(vms.length).toBeGreaterThan(0)
  })
})

test('what cannot be carried over is named', () => {
  expect(warningsOf('web-prod.xml')).toEqual([
    'Web Prod is named Web-Prod',
    'Web-Prod: cdrom sda (/isos/debian.iso) is left out',
    'Web-Prod: disk vdb is not a file (type block) and is left out',
    'Web-Prod: disk vdc (/srv/data.raw) is left out: a VM has one image; copy its content to a volume',
    'Web-Prod: the emulator /opt/qemu/bin/qemu-custom is kept: remove `binary` for the one of this computer',
    'Web-Prod: interface 52:54:00:12:34:57 is left out: declare a network for it',
    'Web-Prod: the usb device of the host is left out: only PCI devices can be passed through',
    'Web-Prod: the folder /srv/www (tag www) is mounted at /mnt/www',
    'Web-Prod: the graphical display is left out',
    'Web-Prod: the TPM is left out',
    'Web-Prod: ballooning is left out: the guest has all of its memory',
  ])
  expect(warningsOf('holos.yaml')).toEqual(['web: restart is left out: vmctl has nothing like it'])
  expect(warningsOf('qemu-compose.yaml')).toEqual([])
  expect(warningsOf('Vagrantfile')).toEqual([
    'line 12 is left out: web.vm.network "private_network", ip: "192.168.56.10"',
    'line 17 is left out: vb.gui = true',
    'line 19 is left out: web.vm.provision "setup", type: "ansible", playbook: "site.yml"',
  ])
})

test.each([
  ['a.xml', '<domain><name>a</name></domain>', 'has no disk'],
  ['a.xml', '<network><name>a</name></network>', 'not the XML of a libvirt domain'],
  ['a.xml', '<domain><name>a', 'not XML'],
  ['a.xml', '', 'not XML'],
  ['a.yaml', 'foo: bar', 'neither a holos.yaml'],
  ['a.yaml', 'a: [', 'not YAML'],
  ['a.yaml', '', 'not YAML'],
  ['Vagrantfile', 'puts 1', 'nothing of this is a setting of Vagrant'],
])('%s with %j is refused', (name, text, message) => {
  expect(() => importFile(name, text, 'demo')).toThrow(ImportError)
  expect(() => importFile(name, text, 'demo')).toThrow(message)
})

test('any text comes back from the printed document as it was', async () => {
  const text = fc.string({unit: 'grapheme', minLength: 1, maxLength: 40}).filter((value) => value.isWellFormed() && !value.includes('\0'))
  await fc.assert(
    fc.asyncProperty(text, async (value) => {
      const nodes = [
        group('vm', ['a'], [node('image', 'a.qcow2'), group('ssh', [], []), group('provision', ['shell'], [node('inline', value)])]),
      ]
      const options = {path: '/tmp/VMFile.kdl', directory: '/tmp', toleratesMissing: true}
      const {vms} = await parseVmfile(printKdl(nodes), options)
      expect(vms[0]?.provision[0]?.settings.inline).toBe(value)
    }),
    {numRuns: 100, examples: [['a\nb'], ['"""'], ['\\u{41}\r\n\t"x"'], ['\u2028\u202E'], ['  \n  x\n']]},
  )
})
