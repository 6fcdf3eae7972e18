import {mkdirSync, writeFileSync} from 'node:fs'
import {basename, join} from 'node:path'

import {expect, test} from 'vitest'

import {temporaryDirectory} from '../../../test/support/builders.ts'
import type {FirmwareConfig} from '../../model/vm.ts'
import {findFirmware} from './firmware.ts'

interface Made {
  readonly code?: string
  readonly vars?: string
  readonly features?: readonly string[]
  readonly machines?: readonly string[]
  readonly architecture?: string
  readonly interfaces?: readonly string[]
  readonly device?: string
  readonly format?: string
}

/** A descriptor directory and the files that it names. */
const makeFirmware = (
  descriptors: Readonly<Record<string, Made | string>>,
  files: readonly string[] = ['CODE.fd', 'VARS.fd', 'CODE_4M.fd', 'VARS_4M.fd', 'SECURE.fd', 'MS.fd'],
): string => {
  const directory = temporaryDirectory()
  mkdirSync(join(directory, 'files'))
  for (const file of files) writeFileSync(join(directory, 'files', file), '')
  for (const [name, made] of Object.entries(descriptors)) {
    const text =
      typeof made === 'string'
        ? made
        : JSON.stringify({
            'interface-types': made.interfaces ?? ['uefi'],
            mapping: {
              device: made.device ?? 'flash',
              executable: {filename: join(directory, 'files', made.code ?? 'CODE_4M.fd'), format: made.format ?? 'raw'},
              'nvram-template': {filename: join(directory, 'files', made.vars ?? 'VARS_4M.fd'), format: 'raw'},
            },
            targets: [{architecture: made.architecture ?? 'x86_64', machines: made.machines ?? ['pc-i440fx-*', 'pc-q35-*']}],
            features: made.features ?? [],
          })
    writeFileSync(join(directory, name), text)
  }
  return directory
}

const uefi: FirmwareConfig = {type: 'uefi', secureBoot: false}
const secure: FirmwareConfig = {type: 'uefi', secureBoot: true}

const find = async (directories: readonly string[], config = uefi, machine = 'q35'): Promise<string> => {
  const {code, vars} = await findFirmware(config, machine, [...directories])
  return `${basename(code)} ${basename(vars)}`
}

const notFound = {code: 'vmctl::qemu::firmware_not_found'}

test('code and variables come from one descriptor, so that 2 MB and 4 MB never mix', async () => {
  const directory = makeFirmware({'60-2m.json': {code: 'CODE.fd', vars: 'VARS.fd'}, '50-4m.json': {}})
  expect(await find([directory])).toBe('CODE_4M.fd VARS_4M.fd')
})

test('a descriptor whose variables (or code) are not installed is passed over as a whole', async () => {
  const half = {'50-4m.json': {}, '60-2m.json': {code: 'CODE.fd', vars: 'VARS.fd'}}
  expect(await find([makeFirmware(half, ['CODE_4M.fd', 'CODE.fd', 'VARS.fd'])])).toBe('CODE.fd VARS.fd')
  expect(await find([makeFirmware(half, ['VARS_4M.fd', 'CODE.fd', 'VARS.fd'])])).toBe('CODE.fd VARS.fd')
  await expect(find([makeFirmware(half, ['CODE_4M.fd', 'VARS.fd'])])).rejects.toMatchObject(notFound)
})

test('firmware that can also run under SEV or TDX, as that of Debian, is taken: these features are abilities', async () => {
  expect(await find([makeFirmware({'60.json': {features: ['acpi-s3', 'amd-sev', 'intel-tdx', 'verbose-dynamic']}})])).toBe(
    'CODE_4M.fd VARS_4M.fd',
  )
})

test('secure boot needs keys; without it, firmware that needs SMM is passed over', async () => {
  const directory = makeFirmware({
    '40-secure.json': {
      code: 'SECURE.fd',
      vars: 'MS.fd',
      features: ['secure-boot', 'enrolled-keys', 'requires-smm'],
      machines: ['pc-q35-*'],
    },
    '50-no-keys.json': {code: 'SECURE.fd', vars: 'VARS.fd', features: ['secure-boot', 'requires-smm'], machines: ['pc-q35-*']},
    '60-plain.json': {},
  })
  expect(await find([directory], uefi)).toBe('CODE_4M.fd VARS_4M.fd')
  expect(await find([directory], secure)).toBe('SECURE.fd MS.fd')
  await expect(find([directory], secure, 'pc')).rejects.toMatchObject({
    ...notFound,
    message: 'No UEFI firmware for the machine type pc with secure boot is installed.',
  })
  await expect(find([makeFirmware({'50-no-keys.json': {features: ['secure-boot']}})], secure)).rejects.toMatchObject(notFound)
})

test.each([
  ['another processor', {architecture: 'aarch64'}],
  ['BIOS', {interfaces: ['bios']}],
  ['memory instead of flash', {device: 'memory'}],
  ['qcow2 firmware', {format: 'qcow2'}],
  ['another machine', {machines: ['microvm']}],
] satisfies [string, Made][])('a descriptor for %s is passed over', async (_, made) => {
  await expect(find([makeFirmware({'50.json': made})])).rejects.toMatchObject(notFound)
})

test.each([
  ['q35', ['pc-q35-*'], true],
  ['q35', ['pc-i440fx-*'], false],
  ['pc', ['pc-i440fx-*'], true],
  ['pc-q35-7.2', ['pc-q35-*'], true],
  ['pc-q35-7.2', ['pc-q35-7.?'], true],
  ['pc-q35x7.2', ['pc-q35.7.2'], false],
  ['q35', ['q35'], true],
  ['microvm', ['*'], true],
])('the machine %s and the patterns %j: %s', async (machine, machines, fits) => {
  const found = find([makeFirmware({'50.json': {machines}})], uefi, machine)
  if (fits) expect(await found).toBe('CODE_4M.fd VARS_4M.fd')
  else await expect(found).rejects.toMatchObject(notFound)
})

test('an earlier directory hides the same name in a later one, also to switch it off; otherwise names give the order', async () => {
  const system = makeFirmware({'50.json': {code: 'CODE.fd', vars: 'VARS.fd'}, '60.json': {}})
  expect(await find(['/no/such/directory', system])).toBe('CODE.fd VARS.fd')
  expect(await find([makeFirmware({'50.json': ''}), system])).toBe('CODE_4M.fd VARS_4M.fd')
  expect(await find([makeFirmware({'55.json': {}}), system])).toBe('CODE.fd VARS.fd')
  expect(await find([makeFirmware({'40.json': {}}), system])).toBe('CODE_4M.fd VARS_4M.fd')
})

test('descriptors that are damaged, or something else, do no harm', async () => {
  const directory = makeFirmware({
    '10.json': 'not json',
    '20.json': 'null',
    '30.json': '[]',
    '40.json': '{"interface-types": 7}',
    '45.json': '{"interface-types":["uefi"],"targets":{}}',
    readme: 'x',
    '50.json': {},
  })
  expect(await find([directory])).toBe('CODE_4M.fd VARS_4M.fd')
})

test('files of the user are taken as they are, and must exist', async () => {
  const files = join(makeFirmware({}), 'files')
  const own = {...uefi, code: join(files, 'CODE.fd'), vars: join(files, 'VARS.fd')}
  expect(await findFirmware(own, 'q35', [])).toEqual({code: own.code, vars: own.vars, secureBoot: false})
  await expect(findFirmware({...own, vars: '/no/such/file'}, 'q35', [])).rejects.toMatchObject({
    ...notFound,
    message: 'The firmware file /no/such/file cannot be read.',
  })
})
