import {load} from 'js-yaml'

import {messageOf} from '../model/errors.ts'
import {type Draft, ImportError, importedName} from './draft.ts'
import {group, type KdlNode, type KdlValue, node} from './kdl.ts'

type Fields = Readonly<Record<string, unknown>>

/** What is read from one place of the file; what is still in `rest` at the end has no meaning here. */
interface Reader {
  readonly place: string
  readonly rest: Map<string, unknown>
  readonly warnings: string[]
}

/**
 * Reads a holos.yaml (`services`) or a qemu-compose.yaml (`vms`): their documentation, and section 1.6 of the language.
 * @param project the name of the project when the file has none
 * @throws ImportError when it is neither
 */
export const importCompose = (yaml: string, {project}: {readonly project?: string} = {}): Draft => {
  const root = parse(yaml)
  const warnings: string[] = []
  const reader: Reader = {place: '', rest: new Map(Object.entries(root)), warnings}
  const services = fieldsOf(take(reader, 'services'))
  const vms = fieldsOf(take(reader, 'vms'))
  const isHolos = Object.keys(services).length > 0
  if (!isHolos && Object.keys(vms).length === 0)
    throw new ImportError('this is neither a holos.yaml (services) nor a qemu-compose.yaml (vms)')
  take(reader, 'version')
  const name = importedName(textOf(take(reader, 'name')) ?? project ?? '')?.toLowerCase()
  const volumes = fieldsOf(take(reader, 'volumes'))
  const nodes = [
    ...(name === undefined ? [] : [node('project', name)]),
    // All services of holos see each other; qemu-compose declares its networks.
    ...(isHolos ? [node('network', 'default')] : networks(fieldsOf(take(reader, 'networks')), warnings)),
    ...Object.entries(volumes).map(([volume, settings]) => volumeNode(volume, settings, warnings)),
    ...Object.entries(isHolos ? services : vms).map(([vm, settings]) => vmNode(vm, settings, {warnings, volumes, isHolos})),
  ]
  leftOver(reader)
  return {nodes, warnings}
}

const parse = (yaml: string): Fields => {
  try {
    return fieldsOf(load(yaml))
  } catch (error) {
    throw new ImportError(`this is not YAML: ${messageOf(error).split('\n')[0]}`)
  }
}

const fieldsOf = (value: unknown): Fields => (typeof value === 'object' && value !== null && !Array.isArray(value) ? {...value} : {})
const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : value === undefined || value === null ? [] : [value])
const textOf = (value: unknown): string | undefined =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined

const readerOf = (place: string, value: unknown, warnings: string[]): Reader => ({
  place,
  rest: new Map(Object.entries(fieldsOf(value))),
  warnings,
})

const take = ({rest}: Reader, key: string): unknown => {
  const value = rest.get(key)
  rest.delete(key)
  return value ?? undefined
}

const leftOver = ({place, rest, warnings}: Reader): void => {
  for (const key of rest.keys()) warnings.push(`${place === '' ? '' : `${place}: `}${key} is left out: vmctl has nothing like it`)
}

/** A node for a field with one value; nothing when it is absent. */
const simple = (reader: Reader, key: string, name = key.replaceAll('_', '-')): KdlNode | undefined => {
  const value = take(reader, key)
  if (value === undefined) return undefined
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return node(name, value)
  reader.warnings.push(`${reader.place}: ${key} is not a single value and is left out`)
  return undefined
}

const networks = (declared: Fields, warnings: string[]): KdlNode[] =>
  Object.entries(declared).map(([name, settings]) => {
    const reader = readerOf(`network ${name}`, settings, warnings)
    const driver = textOf(take(reader, 'driver')) ?? 'bridge'
    const subnet = simple(reader, 'subnet')
    leftOver(reader)
    return group('network', [importedName(name) ?? 'net'], [node('driver', driver), subnet])
  })

const volumeNode = (name: string, settings: unknown, warnings: string[]): KdlNode => {
  const reader = readerOf(`volume ${name}`, settings, warnings)
  const size = textOf(take(reader, 'size')) ?? '10G'
  leftOver(reader)
  return {...node('volume', importedName(name) ?? 'volume'), props: {size}}
}

interface VmContext {
  readonly warnings: string[]
  readonly volumes: Fields
  readonly isHolos: boolean
}

const vmNode = (name: string, settings: unknown, {warnings, volumes, isHolos}: VmContext): KdlNode => {
  const reader = readerOf(name, settings, warnings)
  const resources = readerOf(name, take(reader, 'vm'), warnings)
  const cloudInit = readerOf(name, take(reader, 'cloud_init'), warnings)
  const children = [
    imageNode(reader),
    simple(reader, 'dockerfile'),
    simple(resources, 'vcpu', 'vcpus') ?? simple(reader, 'cpu', 'vcpus'),
    // 512 MB is what holos gives without a word; vmctl would give 1024.
    simple(resources, 'memory_mb', 'memory') ?? simple(reader, 'memory') ?? (isHolos ? node('memory', 512) : undefined),
    simple(resources, 'disk_size', 'disk') ?? diskNode(reader),
    simple(reader, 'replicas'),
    take(resources, 'uefi') === true ? node('firmware', 'uefi') : undefined,
    qemuNode(resources),
    ...listOf(take(reader, 'networks')).map((network) => node('network', importedName(textOf(network) ?? '') ?? 'net')),
    ...listOf(take(reader, 'ports')).map((port) => portNode(port)),
    ...listOf(take(reader, 'volumes')).map((volume) => mountNode(volume, {volumes, reader})),
    ...listOf(take(reader, 'devices')).map((device) => deviceNode(device, reader)),
    ...dependencies(take(reader, 'depends_on')),
    healthNode(take(reader, 'healthcheck'), reader),
    simple(reader, 'stop_grace_period'),
    environmentNode(take(reader, 'environment')),
    ...cloudInitNodes(cloudInit, isHolos),
    sshNode(reader),
    ...listOf(take(reader, 'provision')).map((step) => provisionNode(step, reader)),
  ]
  leftOver(resources)
  leftOver(reader)
  return group('vm', [importedName(name) ?? 'vm'], children)
}

const imageNode = (reader: Reader): KdlNode | undefined => {
  const image = textOf(take(reader, 'image'))
  const format = textOf(take(reader, 'image_format'))
  const os = textOf(take(reader, 'image_os'))
  if (image === undefined) return undefined
  const isUrl = /^[a-z][a-z0-9+.-]*:\/\//i.test(image)
  return {...node(isUrl ? 'image-url' : 'image', image), props: {...(format !== undefined && {format}), ...(os !== undefined && {os})}}
}

const diskNode = (reader: Reader): KdlNode | undefined => {
  const size = textOf(fieldsOf(take(reader, 'disk')).size)
  return size === undefined ? undefined : node('disk', size)
}

const qemuNode = (resources: Reader): KdlNode | undefined => {
  const machine = simple(resources, 'machine')
  const cpu = simple(resources, 'cpu_model', 'cpu')
  // What vmctl chooses itself, where the computer can do it.
  const children = [machine?.args[0] === 'q35' ? undefined : machine, cpu?.args[0] === 'host' ? undefined : cpu]
  const args = listOf(take(resources, 'extra_args')).flatMap((arg) => textOf(arg) ?? [])
  if (args.length > 0) children.push(node('args', ...args))
  return children.some(Boolean) ? group('qemu', [], children) : undefined
}

const portNode = (port: unknown): KdlNode => {
  const {host, guest, host_port: hostPort, guest_port: guestPort, protocol} = fieldsOf(port)
  if (typeof port !== 'object' || port === null) return node('port', typeof port === 'number' ? port : String(port))
  const props = {host: host ?? hostPort, guest: guest ?? guestPort, protocol}
  return {
    ...node('port'),
    props: Object.fromEntries(Object.entries(props).filter((pair): pair is [string, KdlValue] => pair[1] !== undefined)),
  }
}

interface Mount {
  readonly source: string
  readonly target: string
  readonly readOnly: boolean
  readonly automount: boolean
  readonly options: readonly string[]
}

/** `source:target[:ro]`, or the same as fields. */
const readMount = (mount: unknown, reader: Reader): Mount | undefined => {
  if (typeof mount === 'string') {
    const [, source, target, mode] = /^([^:]+):([^:]+)(?::(.*))?$/.exec(mount) ?? []
    if (source === undefined || target === undefined) return undefined
    return {source, target, readOnly: mode === 'ro', automount: true, options: []}
  }
  const long = readerOf(`${reader.place}: a volume`, mount, reader.warnings)
  const source = textOf(take(long, 'source'))
  const target = textOf(take(long, 'target'))
  const readOnly = take(long, 'read_only') === true
  const automount = take(long, 'automount') !== false
  const options = (textOf(take(long, 'mount_options')) ?? '').split(',').filter((option) => option !== '')
  leftOver(long)
  return source === undefined || target === undefined ? undefined : {source, target, readOnly, automount, options}
}

/** A name that is declared is a volume, everything else a folder or file of this computer. */
const mountNode = (given: unknown, {volumes, reader}: {volumes: Fields; reader: Reader}): KdlNode | undefined => {
  const mount = readMount(given, reader)
  if (!mount) {
    reader.warnings.push(`${reader.place}: the volume ${JSON.stringify(given)} cannot be read and is left out`)
    return undefined
  }
  const {source, target, automount, options} = mount
  const readOnly = mount.readOnly ? {'read-only': true} : {}
  if (source in volumes) return {...node('volume', importedName(source) ?? source, target), props: readOnly}
  const props = {...readOnly, ...(!automount && {automount: false})}
  const share = options.length === 0 ? node('share', source, target) : group('share', [source, target], [node('options', ...options)])
  return {...share, props}
}

const deviceNode = (device: unknown, reader: Reader): KdlNode | undefined => {
  const fields = readerOf(`${reader.place}: a device`, device, reader.warnings)
  const address = textOf(take(fields, 'pci'))
  const rom = textOf(take(fields, 'rom_file'))
  leftOver(fields)
  return address === undefined ? undefined : {...node('device', 'pci', address), props: {...(rom !== undefined && {'rom-file': rom})}}
}

/** A list of names, or names with a condition. */
const dependencies = (value: unknown): KdlNode[] => {
  if (Array.isArray(value)) return value.map((name) => node('depends-on', importedName(String(name)) ?? ''))
  return Object.entries(fieldsOf(value)).map(([name, settings]) => {
    const condition = {service_started: 'started', service_healthy: 'healthy'}[String(fieldsOf(settings).condition)]
    return {...node('depends-on', importedName(name) ?? ''), ...(condition !== undefined && {props: {condition}})}
  })
}

const healthNode = (value: unknown, parent: Reader): KdlNode | undefined => {
  if (value === undefined) return undefined
  const reader = readerOf(`${parent.place}: healthcheck`, value, parent.warnings)
  const [first, ...others] = listOf(take(reader, 'test')).map(String)
  // Compose's markers: NONE, CMD and CMD-SHELL.
  if (first === 'NONE') return undefined
  const test = first === 'CMD' || first === 'CMD-SHELL' ? others : [first ?? '', ...others]
  const children = [node('test', ...test), ...['interval', 'timeout', 'retries', 'start_period'].map((key) => simple(reader, key))]
  leftOver(reader)
  return group('healthcheck', [], children)
}

const environmentNode = (value: unknown): KdlNode | undefined => {
  const pairs = Array.isArray(value)
    ? value.map((line) => [String(line).split('=')[0] ?? '', String(line).split('=').slice(1).join('=')] as const)
    : Object.entries(fieldsOf(value)).map(([key, one]) => [key, textOf(one) ?? ''] as const)
  return pairs.length === 0
    ? undefined
    : group(
        'env',
        [],
        pairs.map(([key, one]) => node(key, one)),
      )
}

const cloudInitNodes = (reader: Reader, isHolos: boolean): KdlNode[] => {
  const packages = listOf(take(reader, 'packages')).map(String)
  const bootcmd = listOf(take(reader, 'bootcmd')).map((command) => commandNode('bootcmd', command))
  const children = [
    simple(reader, 'user') ?? (isHolos ? node('user', 'ubuntu') : undefined),
    simple(reader, 'hostname'),
    ...listOf(take(reader, 'ssh_authorized_keys')).map((key) => node('ssh-key', String(key))),
    packages.length > 0 ? node('packages', ...packages) : undefined,
    ...listOf(take(reader, 'write_files')).map((file) => writeFileNode(file, reader)),
    ...bootcmd,
    ...listOf(take(reader, 'runcmd')).map((command) => commandNode('runcmd', command)),
  ].filter((one) => one !== undefined)
  leftOver(reader)
  return children.length === 0 ? [] : [group('cloud-init', [], children)]
}

const commandNode = (name: string, command: unknown): KdlNode => node(name, ...listOf(command).map(String))

const writeFileNode = (file: unknown, parent: Reader): KdlNode => {
  const reader = readerOf(`${parent.place}: write_files`, file, parent.warnings)
  const path = textOf(take(reader, 'path')) ?? ''
  const children = [simple(reader, 'permissions'), simple(reader, 'owner'), simple(reader, 'content')]
  leftOver(reader)
  return group('write-file', [path], children)
}

const sshNode = (reader: Reader): KdlNode | undefined => {
  const ssh = readerOf(`${reader.place}: ssh`, take(reader, 'ssh'), reader.warnings)
  const children = [simple(ssh, 'port'), simple(ssh, 'user')]
  leftOver(ssh)
  return children.some(Boolean) || reader.rest.has('provision') ? group('ssh', [], children) : undefined
}

const provisionNode = (step: unknown, parent: Reader): KdlNode => {
  const reader = readerOf(`${parent.place}: provision`, step, parent.warnings)
  const type = textOf(take(reader, 'type')) ?? 'shell'
  const children = ['inline', 'script', 'source', 'destination'].map((key) => simple(reader, key))
  leftOver(reader)
  return group('provision', [type], children)
}
