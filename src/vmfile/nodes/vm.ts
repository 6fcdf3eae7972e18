import {canLogIn} from '../../model/login.ts'
import type {HomeSpec} from '../../model/home.ts'
import type {Dependency} from '../../model/order.ts'
import type {VmSpec} from '../../model/vm.ts'
import {anyText, boolean, durationOf, integer, size, vmName} from '../grammar/kinds.ts'
import {block, defaulted, field, type Located, pairs, type Read, required} from '../grammar/shapes.ts'
import {names, variableName} from '../grammar/words.ts'
import type {Span} from '../kdl/report.ts'
import {type Context, optional} from '../resolve/context.ts'
import {buildBackends} from './backend.ts'
import {buildCloudInit, cloudInitNode} from './cloud-init.ts'
import {dependsOnNode} from './depends-on.ts'
import {buildDevices, deviceNode} from './device.ts'
import {buildDockerfile, type BuiltDockerfile, dockerfileNode} from './dockerfile.ts'
import {buildFirmware, firmwareNode} from './firmware.ts'
import {buildHealthcheck, healthcheckNode} from './healthcheck.ts'
import {buildPlacement, kindNode, placeNode, refuseByHome} from './home.ts'
import {buildImage, imageNode, imageUrlNode} from './image.ts'
import type {DeclaredNetworks} from './network-definition.ts'
import {networkNode} from './network-types.ts'
import {buildConnections, type Connections} from './network.ts'
import {buildPorts, type DeclaredPort, portNode, portsOf} from './port.ts'
import {buildStep, provisionNode} from './provision.ts'
import {buildShares, refuseSameTargets, shareNode} from './share.ts'
import {buildSsh, sshNode} from './ssh.ts'
import {buildMounts, type DeclaredMount, type DeclaredVolumes, mountsOf, volumeNode} from './volume.ts'
import {refuseWithoutShell} from './without-shell.ts'
import {vcpuLimits, memoryLimits, leastDiskBytes} from '../../model/limits.ts'

/** What a VM can have of its own, and by the defaults of the project. */
export const vmDefaults = {
  kind: kindNode,
  place: placeNode,
  vcpus: defaulted(integer(vcpuLimits.least, vcpuLimits.most, '2'), vcpuLimits.default as number, 'Number of virtual CPUs.', {
    synonyms: ['cpus', 'cpu', 'cores', 'vcpu'],
  }),
  memory: defaulted(
    size({unit: 'MB', leastBytes: memoryLimits.least, least: '64 MB', stepBytes: 2 ** 20, example: '2048'}),
    memoryLimits.default,
    'Memory.',
    {
      synonyms: ['mem', 'ram'],
    },
  ),
  disk: field(
    size({unit: 'GB', leastBytes: leastDiskBytes, least: '1 MB', stepBytes: 512, example: '20'}),
    'Size of the disk; that of the image when absent.',
    {synonyms: ['storage', 'disk-size']},
  ),
  network: networkNode,
  port: portNode,
  volume: volumeNode,
  share: shareNode,
  device: deviceNode,
  healthcheck: healthcheckNode,
  'stop-grace-period': field(
    durationOf({leastMs: 0, least: '0 or more', example: '"30s"'}),
    'How long the guest may take to power off before it is forced to; 30 s when absent.',
  ),
  env: pairs(anyText, variableName, 'Environment variables of the guest, of provision steps and of the health check.'),
  'cloud-init': cloudInitNode,
  ssh: sshNode,
  firmware: firmwareNode,
  provision: provisionNode,
  autostart: field(boolean, 'Whether `vmctl install` brings the VM up at boot; it does when absent.'),
  label: pairs(anyText, names, 'Names and values of your own.'),
}

export const vmNode = block(
  'A virtual machine.',
  {argument: required(vmName, 'Name of the VM; unique in the file.'), body: 'block', repeatable: true},
  {
    image: imageNode,
    'image-url': imageUrlNode,
    dockerfile: dockerfileNode,
    ...vmDefaults,
    replicas: defaulted(integer(1, 253, '2'), 1, 'How many of it there are; with more than one they are called NAME-0, NAME-1 and so on.'),
    'depends-on': dependsOnNode,
  },
)

export type ReadVm = Read<typeof vmNode>[number]

/** What all VMs of a file share. */
export interface Surroundings {
  readonly project: string | undefined
  readonly home: HomeSpec | undefined
  readonly projectKeys: readonly Located<string>[]
  readonly isWarm: boolean
  readonly projectLabels: ReadonlyMap<string, Located<string>>
  readonly networks: DeclaredNetworks
  readonly volumes: DeclaredVolumes
}

/** A VM of the file with all its replicas. */
export interface Service {
  readonly name: string
  /** Store names, by replica. */
  readonly instances: readonly string[]
  readonly connections: Connections
  readonly ports: readonly DeclaredPort[]
  readonly mounts: readonly DeclaredMount[]
  readonly ssh: {readonly port: number; readonly place: Span} | undefined
  /** What is the same for each replica; absent when the VM is too broken to describe. */
  readonly common: Omit<VmSpec, 'name'> | undefined
}

/** Resolves what a VM says, and checks it for itself. */
export const buildService = async (vm: ReadVm, instances: readonly string[], around: Surroundings, context: Context): Promise<Service> => {
  const {fields} = vm
  const {report} = context
  const name = vm.argument?.value ?? ''
  const replicas = instances.length
  refuseSameTargets(fields.volume, fields.share, report)
  if (replicas > 1) refuseSingletons(fields, report)
  const connections = buildConnections(fields.network, around.networks, context, vm.argument ?? vm)
  const ports = buildPorts(fields.port, replicas, context)
  refuseUnreachable(connections, ports, fields, report)
  refuseByHome(fields, {home: around.home, connections, ports}, context)
  refuseWithoutShell(fields, report)
  const mounts = buildMounts(fields.volume, around.volumes, replicas, context)
  const sshPort = fields.ssh?.fields.port
  return {
    name,
    instances,
    connections,
    ports,
    mounts,
    ssh: sshPort && {port: sshPort.value, place: sshPort},
    common: await buildCommon(vm, {name, replicas, connections, around}, context),
  }
}

interface Part {
  readonly name: string
  readonly replicas: number
  readonly connections: Connections
  readonly around: Surroundings
}

const buildCommon = async (vm: ReadVm, part: Part, context: Context): Promise<Service['common']> => {
  const {fields} = vm
  const built = fields.dockerfile && (await buildVmDockerfile(fields.dockerfile, context))
  const image = await buildImage(vm, fields, built, context)
  const [shares, devices] = await Promise.all([buildShares(fields.share, context), buildDevices(fields.device, context)])
  const settings = {
    ...buildPlacement(fields, part.around.home),
    vcpus: fields.vcpus.value,
    memoryMiB: fields.memory.value / 2 ** 20,
    ...optional('diskBytes', fields.disk?.value),
    network: part.connections.network,
    ...(shares.length > 0 && {shares}),
    ...(devices.length > 0 && {devices}),
    ...optional('healthcheck', fields.healthcheck && buildHealthcheck(fields.healthcheck, context)),
    ...optional('stopGraceMs', fields['stop-grace-period'] && Math.max(1000, fields['stop-grace-period'].value)),
    ...(fields.autostart?.value === false && {autostart: false}),
    ...(part.around.isWarm && {warm: true}),
    ...optional('labels', record([...part.around.projectLabels, ...fields.label])),
    ...optional('env', record([...fields.env])),
    ...optional('dockerfile', built?.spec),
    ...(await loginOf(fields, part, context)),
    ...optional('firmware', await firmwareOf(fields, context)),
    ...buildBackends(fields, context),
    provision: (await Promise.all(fields.provision.map((step) => buildStep(step, context)))).filter((step) => step !== undefined),
  }
  return image && {image, ...settings}
}

const buildVmDockerfile = (
  {argument, fields}: NonNullable<ReadVm['fields']['dockerfile']>,
  context: Context,
): Promise<BuiltDockerfile> | undefined =>
  argument && buildDockerfile({path: argument, context: fields.context, buildArgs: fields['build-arg']}, context)

/** What works through SSH implies the way in: an empty `ssh`, where the VM has none and vmctl's own user does not do. */
const loginOf = async (fields: ReadVm['fields'], part: Part, context: Context): Promise<Pick<VmSpec, 'cloudInit' | 'ssh'>> => {
  const {network} = part.connections
  const cloudInit = await cloudInitOf(fields, part, context)
  const asked = fields.ssh && (await buildSsh(fields.ssh, context))
  const asksGuest = fields.healthcheck !== undefined || fields.dockerfile !== undefined
  const implied = fields.provision.length > 0 || (asksGuest && !canLogIn({network, ...optional('cloudInit', cloudInit)})) ? {} : undefined
  return {...optional('cloudInit', cloudInit), ...optional('ssh', asked ?? implied)}
}

/** Without a cloud-init block there is no seed, unless the VM has something that must be set up in the guest. */
const cloudInitOf = async (
  fields: ReadVm['fields'],
  {name, replicas, connections, around}: Part,
  context: Context,
): Promise<VmSpec['cloudInit']> => {
  const needsGuest =
    fields.share.length > 0 ||
    fields.volume.length > 0 ||
    fields.env.size > 0 ||
    replicas > 1 ||
    connections.attachments.length > 0 ||
    fields.dockerfile !== undefined ||
    (fields.provision.length > 0 && !fields.ssh) ||
    (fields.healthcheck !== undefined && !fields.ssh?.fields['private-key'])
  if (!fields['cloud-init'] && !needsGuest) return undefined
  return buildCloudInit(fields['cloud-init'], {vm: name, projectKeys: around.projectKeys}, context)
}

const refuseUnreachable = (
  connections: Connections,
  [port]: readonly DeclaredPort[],
  {healthcheck, provision, dockerfile}: ReadVm['fields'],
  report: Context['report'],
): void => {
  const {type} = connections.network
  if (type !== 'user' && port) {
    report.error(
      port.place,
      `a port cannot be forwarded to a VM with network "${type}"`,
      'ports need network "user", which a VM has unless it says otherwise',
    )
  }
  if (type !== 'none') return
  const refuse = (place: Span | undefined, what: string): void => {
    if (place) report.error(place, `${what} cannot reach a VM with network "none"`, 'remove it, or the network node')
  }
  refuse(healthcheck, 'a health check')
  refuse(provision[0], 'a provision step')
  refuse(dockerfile, 'a Dockerfile')
}

/** Devices that are handed through want UEFI: their option ROMs and large memory windows are made for it. */
const firmwareOf = async ({firmware, device}: ReadVm['fields'], context: Context): Promise<VmSpec['firmware']> => {
  if (firmware) return buildFirmware(firmware, context)
  return device.length > 0 ? {type: 'uefi', secureBoot: false} : undefined
}

/** Undefined when there are none, so that a spec does not hold an empty object. */
const record = (pairs: readonly (readonly [string, Located<string>])[]): Record<string, string> | undefined =>
  pairs.length > 0 ? Object.fromEntries(pairs.map(([name, {value}]) => [name, value])) : undefined

/** What there is only one of cannot be given to several replicas. */
const refuseSingletons = ({network, device, ssh}: ReadVm['fields'], report: Context['report']): void => {
  const refuse = (place: Span | undefined, what: string): void => {
    if (place) report.error(place, `replicas cannot share ${what}`, 'remove it, or write a vm for each')
  }
  for (const node of network) {
    if (node.type !== 'named' && node.type !== 'tap') continue
    refuse(node.fields.ip, 'a fixed address')
    refuse(node.fields.mac, 'a MAC address')
  }
  refuse(device[0], 'a device')
  refuse(ssh?.fields.port, 'a port for SSH')
}

/** The specs of all replicas. */
export const expandService = (service: Service, project: string | undefined, dependencies: readonly Dependency[]): readonly VmSpec[] => {
  const {common} = service
  if (!common) return []
  const isReplicated = service.instances.length > 1
  const networks = service.connections.attachments.map(({spec}) => spec)
  return service.instances.map((name, replica) => {
    const ports = portsOf(service.ports, replica)
    const volumes = mountsOf(service.mounts, replica)
    return {
      name,
      ...optional('project', project),
      ...((project !== undefined || isReplicated) && {service: service.name}),
      ...(isReplicated && {replica}),
      ...common,
      ...(networks.length > 0 && {networks}),
      ...(ports.length > 0 && {ports}),
      ...(volumes.length > 0 && {volumes}),
      ...(dependencies.length > 0 && {dependsOn: dependencies}),
      ...(common.cloudInit && isReplicated && {cloudInit: {...common.cloudInit, hostname: hostnameOf(common.cloudInit.hostname, replica)}}),
    }
  })
}

/** `web-0`, `web-0.example.com`. */
const hostnameOf = (hostname: string, replica: number): string => {
  const [first = '', ...domain] = hostname.split('.')
  return [`${first}-${replica}`, ...domain].join('.')
}
