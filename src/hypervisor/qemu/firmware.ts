import {readdir, readFile} from 'node:fs/promises'
import {join} from 'node:path'

import {configDirectory} from '../../host/paths.ts'
import {VmctlError} from '../../model/errors.ts'
import type {FirmwareConfig} from '../../model/vm.ts'
import {pathExists} from '../../host/files.ts'
import {qemuFailures} from './failures.ts'

export interface FirmwarePair {
  readonly code: string
  /** The template that each VM gets a copy of. */
  readonly vars: string
  readonly secureBoot: boolean
}

/** The directories of QEMU's firmware descriptors, first one first (docs/interop/firmware.json). */
const descriptorDirectories = (): string[] => [
  join(configDirectory(), 'qemu', 'firmware'),
  '/etc/qemu/firmware',
  '/usr/local/share/qemu/firmware',
  '/usr/share/qemu/firmware',
]

interface Descriptor {
  readonly 'interface-types'?: readonly string[]
  readonly mapping?: {
    readonly device?: string
    readonly mode?: string
    readonly executable?: {readonly filename?: string; readonly format?: string}
    readonly 'nvram-template'?: {readonly filename?: string; readonly format?: string}
  }
  readonly targets?: readonly {readonly architecture?: string; readonly machines?: readonly string[]}[]
  readonly features?: readonly string[]
}

/**
 * Finds UEFI firmware whose code and variable store belong together: the pair that was given, or the first matching
 * descriptor. Never falls back to BIOS.
 * @throws VmctlError `vmctl::qemu::firmware_not_found`
 */
export const findFirmware = async (
  config: FirmwareConfig,
  machine: string,
  directories = descriptorDirectories(),
): Promise<FirmwarePair> => {
  if (config.code !== undefined && config.vars !== undefined) {
    await Promise.all([requireFile(config.code), requireFile(config.vars)])
    return {code: config.code, vars: config.vars, secureBoot: config.secureBoot}
  }
  for (const path of await descriptorPaths(directories)) {
    const pair = await pairIn(path, config, machine)
    if (pair && (await pathExists(pair.code)) && (await pathExists(pair.vars))) return pair
  }
  throw new VmctlError(
    qemuFailures.firmwareNotFound,
    `No UEFI firmware for the machine type ${machine}${config.secureBoot ? ' with secure boot' : ''} is installed.`,
  )
}

/** The same file name in an earlier directory hides the later one; within the result the order is that of the names. */
const descriptorPaths = async (directories: readonly string[]): Promise<string[]> => {
  const found = new Map<string, string>()
  for (const directory of directories) {
    const names = await readdir(directory).catch(() => [])
    for (const name of names) if (name.endsWith('.json') && !found.has(name)) found.set(name, join(directory, name))
  }
  return [...found.keys()].toSorted().map((name) => found.get(name) ?? '')
}

/** A descriptor that is damaged, or of a shape that we do not know, offers nothing. */
const pairIn = async (path: string, config: FirmwareConfig, machine: string): Promise<FirmwarePair | undefined> => {
  try {
    return pairOf(JSON.parse(await readFile(path, 'utf8')), config, machine)
  } catch {
    return undefined
  }
}

// oxlint-disable-next-line complexity -- A flat list of conditions; splitting it would not make it simpler.
const pairOf = (descriptor: Descriptor, config: FirmwareConfig, machine: string): FirmwarePair | undefined => {
  const {mapping} = descriptor
  const features = descriptor.features ?? []
  const fits =
    (descriptor['interface-types'] ?? []).includes('uefi') &&
    mapping?.device === 'flash' &&
    mapping.executable?.format === 'raw' &&
    mapping['nvram-template']?.format === 'raw' &&
    (descriptor.targets ?? []).some(
      (target) => target.architecture === 'x86_64' && (target.machines ?? []).some((pattern) => matches(pattern, machine)),
    ) &&
    (config.secureBoot ? features.includes('secure-boot') && features.includes('enrolled-keys') : !features.includes('requires-smm'))
  if (!fits || !mapping.executable.filename || !mapping['nvram-template'].filename) return undefined
  return {code: mapping.executable.filename, vars: mapping['nvram-template'].filename, secureBoot: config.secureBoot}
}

/** A machine pattern such as `pc-q35-*`; `q35` and `pc` are the aliases that users write. */
const matches = (pattern: string, machine: string): boolean => {
  const names = machine === 'q35' ? ['pc-q35-0.0', 'q35'] : machine === 'pc' ? ['pc-i440fx-0.0', 'pc'] : [machine]
  const expression = new RegExp(
    `^${pattern
      .replaceAll(/[.+^${}()|[\]\\]/g, String.raw`\$&`)
      .replaceAll('*', '.*')
      .replaceAll('?', '.')}$`,
  )
  return names.some((name) => expression.test(name))
}

const requireFile = async (path: string): Promise<void> => {
  if (!(await pathExists(path))) {
    throw new VmctlError(qemuFailures.firmwareNotFound, `The firmware file ${path} cannot be read.`, {
      help: 'Check `code` and `vars` of the firmware block, or leave both out to use the installed firmware.',
    })
  }
}
