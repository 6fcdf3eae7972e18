import {mkdirSync, readFileSync, writeFileSync} from 'node:fs'
import {dirname, join} from 'node:path'

import fc from 'fast-check'
import {beforeEach, expect, test} from 'vitest'

import {temporaryDirectory} from '../../../test/support/builders.ts'
import {importFile, ImportError, printKdl} from '../../import/index.ts'
import {group, node} from '../../import/kdl.ts'
import {loadVmfile, parseVmfile} from '../load.ts'
import {importVms, invalidImport, writeImported} from './import.ts'

const signal = new AbortController().signal

let directory: string
beforeEach(() => {
  directory = temporaryDirectory()
})

const write = (name: string, content: string): void => {
  mkdirSync(dirname(join(directory, name)), {recursive: true})
  writeFileSync(join(directory, name), content)
}

test.each([
  ['a.xml', '<domain><name>a</name></domain>', 'has no disk'],
  ['a.xml', '<network><name>a</name></network>', 'not the XML of a libvirt domain'],
  ['a.xml', '<domain><name>a', 'not XML'],
  ['a.xml', '', 'not XML'],
  ['a.yaml', 'foo: bar', 'neither a holos.yaml'],
  ['a.yaml', 'a: [', 'not YAML'],
  ['a.yaml', '', 'not YAML'],
  ['docker-compose.yaml', 'services: {a: {image: "debian:12"}}', 'Docker Compose'],
  ['a.yaml', 'services: {a: {image: x/y:1, build: .}}', 'Docker Compose'],
  ['Vagrantfile', 'puts 1', 'nothing of this is a setting of Vagrant'],
  ['vms.json', '{"a": {"name": "a"}}', 'no vms.json'],
])('%s with %j is refused', (name, text, message) => {
  expect(() => importFile(name, text, 'demo')).toThrow(ImportError)
  expect(() => importFile(name, text, 'demo')).toThrow(message)
})

const anyText = fc.string({unit: 'grapheme', minLength: 1, maxLength: 40}).filter((value) => value.isWellFormed() && !value.includes('\0'))

test('any text comes back from the printed document as it was', async () => {
  await fc.assert(
    fc.asyncProperty(anyText, async (value) => {
      const nodes = [
        group('vm', ['a'], [node('image', 'a.qcow2'), group('ssh', [], []), group('provision', ['shell'], [node('inline', value)])]),
      ]
      const options = {path: '/tmp/VMFile.kdl', directory: '/tmp', toleratesMissing: true}
      const {vms} = await parseVmfile(printKdl(nodes), options)
      expect(vms[0]?.provision[0]?.settings).toMatchObject({inline: value})
    }),
    {numRuns: 100, examples: [['a\nb'], ['"""'], ['\\u{41}\r\n\t"x"'], ['\u2028\u202E'], ['  \n  x\n']]},
  )
})

test('any name of a node or a property is KDL', async () => {
  await fc.assert(
    fc.asyncProperty(anyText, async (name) => {
      const printed = printKdl([{name, args: [], props: {[name]: 1}, comment: name}])
      // Whatever it means, it is no mistake of the syntax.
      const problems = await parseVmfile(printed, {path: '/tmp/VMFile.kdl', directory: '/tmp'}).catch(
        (error: {problems: {code: string}[]}) => error.problems,
      )
      expect(problems).not.toContainEqual(expect.objectContaining({code: 'vmctl::vmfile::parse_failed'}))
    }),
    {numRuns: 100, examples: [['true'], ['null'], ['-inf'], ['nan'], ['2FA'], ['a b'], ['a.b'], ['//x'], ['/-'], ['{']]},
  )
})

test('paths of the file start where the VMFile will be', async () => {
  write('old/setup.sh', 'true')
  write('old/www/index.html', '')
  write(
    'old/Vagrantfile',
    `Vagrant.configure("2") do |config|
  config.vm.box = "debian/bookworm64"
  config.vm.provision "shell", path: "setup.sh"
  config.vm.synced_folder "www", "/srv/www"
  config.vm.synced_folder "/usr", "/host"
end`,
  )
  write('new/.keep', '')
  const {text, isValid, problems} = await importVms({sources: ['old/Vagrantfile'], output: 'new/VMFile.kdl', signal}, directory)
  expect([isValid, problems]).toEqual([true, []])
  await writeImported(join(directory, 'new/VMFile.kdl'), text, {force: false})
  const {vms} = await loadVmfile(join(directory, 'new/VMFile.kdl'))
  expect(vms[0]?.provision[0]?.settings).toMatchObject({script: join(directory, 'old/setup.sh')})
  expect(vms[0]?.shares?.map(({source}) => source)).toEqual([join(directory, 'old'), join(directory, 'old/www'), '/usr'])
  const beside = await importVms({sources: ['old/Vagrantfile'], output: 'old/VMFile.kdl', signal}, directory)
  expect(beside.text).toContain('script "setup.sh"')
  expect(beside.text).toContain('share "." "/vagrant"')
})

test('paths of all kinds of files are moved', async () => {
  write(
    'a/holos.yaml',
    'services: {a: {dockerfile: ./Dockerfile, devices: [{pci: "01:00.0", rom_file: gpu.rom}], volumes: ["./w:/w", "~/h:/h"]}}',
  )
  write('a/Dockerfile', 'FROM debian:12\nRUN true\n')
  write('a/w/x', '')
  const {text} = await importVms({sources: ['a/holos.yaml'], output: 'VMFile.kdl', signal}, directory)
  expect(text).toContain('dockerfile "./a/Dockerfile"')
  expect(text).toContain('rom-file="./a/gpu.rom"')
  expect(text).toContain('share "./a/w" "/w"')
  expect(text).toContain('share "~/h" "/h"')
})

test('a Dockerfile is read as validate reads it', async () => {
  write('holos.yaml', 'name: d\nservices: {a: {dockerfile: ./Dockerfile}}')
  write('Dockerfile', 'FROM debian:12\nRUN true\n')
  expect(await importVms({sources: ['holos.yaml'], signal}, directory)).toMatchObject({isValid: true, problems: [], warnings: []})
  write('Dockerfile', 'FROM debian:12\nONBUILD RUN true\n')
  expect(await importVms({sources: ['holos.yaml'], signal}, directory)).toMatchObject({isValid: false, problems: [{severity: 'error'}]})
})

test('files that are missing here are named, and are no fault of the import', async () => {
  write(
    'a.xml',
    '<domain type="kvm"><name>a</name><devices><disk type="file"><source file="/no/such.qcow2"/><target dev="vda"/></disk></devices></domain>',
  )
  const {isValid, problems} = await importVms({sources: ['a.xml'], signal}, directory)
  expect(isValid).toBe(true)
  expect(problems).toMatchObject([{severity: 'warning', message: 'image file not found: "/no/such.qcow2"'}])
})

test('a result that is not valid says so with a code of its own, and holds what there is', async () => {
  write('Vagrantfile', 'Vagrant.configure("2") do |config|\n  config.vm.box = "nobody/nothing"\nend')
  const {text, warnings, problems, isValid} = await importVms({sources: ['Vagrantfile'], signal}, directory)
  expect(isValid).toBe(false)
  expect(invalidImport(problems, 'VMFile.kdl', {text, warnings})).toMatchObject({
    code: 'vmctl::import::invalid',
    message: 'VMFile.kdl is written, but it is not valid yet: one thing is to be corrected.',
    problems: [{message: 'no image specified'}],
    details: {text, warnings: [expect.stringContaining('an image must be named')]},
  })
})

test('several files are one VMFile with one project', async () => {
  write('a/Vagrantfile', 'Vagrant.configure("2") { |c| c.vm.box = "debian/bookworm64"; c.vm.define "a" }')
  write('b/Vagrantfile', 'Vagrant.configure("2") { |c| c.vm.box = "debian/bookworm64"; c.vm.define "b" }')
  const {text, warnings, isValid} = await importVms({sources: ['a/Vagrantfile', 'b/Vagrantfile'], signal}, directory)
  expect(isValid).toBe(true)
  expect(text.match(/^project /gm)).toHaveLength(1)
  expect(warnings).toEqual(['b/Vagrantfile: its project is left out: a VMFile has one'])
})

test('what cannot be read at all is refused with the reason', async () => {
  write('docker-compose.yml', 'services: {a: {image: nginx}}')
  await expect(importVms({sources: ['docker-compose.yml'], signal}, directory)).rejects.toMatchObject({
    code: 'vmctl::import::failed',
    message: expect.stringContaining('docker-compose.yml: this is a Docker Compose file'),
  })
  writeFileSync(join(directory, 'Vagrantfile'), Buffer.from([0xff, 0xfe, 0x00]))
  await expect(importVms({sources: ['Vagrantfile'], signal}, directory)).rejects.toMatchObject({
    code: 'vmctl::import::failed',
    message: expect.stringContaining('not a text in UTF-8'),
  })
})

test('what is said has no control characters of the file in it', async () => {
  write('holos.yaml', 'services: {"a\\u001b[2J": {image: "debian:12", "x\\u001b]0;y\\u0007": 1}}'.replaceAll('\\u', '\\u'))
  const {text, warnings} = await importVms({sources: ['holos.yaml'], signal}, directory)
  expect(warnings.join('\n')).toMatch(/^[^\u001B\u0007]+$/)
  expect(text).toMatch(/^[^\u001B\u0007]+$/)
})

test('an existing file stays as it is', async () => {
  write('VMFile.kdl', 'mine')
  const path = join(directory, 'VMFile.kdl')
  await expect(writeImported(path, 'other', {force: false})).rejects.toMatchObject({code: 'vmctl::import::exists'})
  expect(readFileSync(path, 'utf8')).toBe('mine')
  await writeImported(path, 'other', {force: true})
  expect(readFileSync(path, 'utf8')).toBe('other')
})
