import {parseSize} from '../../model/quantity.ts'
import {looksLikeImagePath} from '../../model/catalogue.ts'
import {group, hostPath, type KdlNode, node, withProps} from '../kdl.ts'
import {cloudInitNode, dependencyNodes, environmentNode, healthNode, provisionNode, sshNode} from './guest.ts'
import type {Names} from './names.ts'
import {joinedNodes, portNode} from './network.ts'
import {fieldsOf, flag, leftOver, listOf, readerOf, type Reader, simple, take, textOf, whole} from './reader.ts'
import {importedSize} from './sizes.ts'
import {deviceNode, mountNode} from './storage.ts'

/** What the VMs of a file have in common. */
export interface Around {
  readonly isHolos: boolean
  readonly vms: Names
  readonly networks: Names
  readonly volumes: Names
  /** The networks that have a subnet of their own, as the file calls them. */
  readonly fixed: ReadonlySet<string>
}

/** One service of holos, or one VM of qemu-compose. */
export const vmNode = (name: string, reader: Reader, around: Around): KdlNode => {
  const {isHolos, vms, volumes} = around
  const resources = readerOf(`${reader.place}: vm`, take(reader, 'vm'), reader.warnings)
  const image = textOf(reader.rest.get('image'))
  const children = [
    imageNode(reader, isHolos),
    pathNode(reader, 'dockerfile'),
    whole(resources, 'vcpu', 'vcpus') ?? whole(reader, 'cpu', 'vcpus'),
    // 512 MB is what holos gives when nothing is said; vmctl would give 1024.
    whole(resources, 'memory_mb', 'memory') ?? memoryNode(reader) ?? (isHolos ? node('memory', 512) : undefined),
    diskNode(reader, resources, isHolos),
    whole(reader, 'replicas'),
    flag(resources, 'uefi') === true ? node('firmware', 'uefi') : undefined,
    qemuNode(resources),
    ...(isHolos ? [] : networkNodes(reader, around)),
    ...listOf(take(reader, 'ports')).map((port) => portNode(port, reader)),
    ...listOf(take(reader, 'volumes')).map((volume) => mountNode(volume, volumes, reader)),
    ...listOf(take(reader, 'devices')).map((device) => deviceNode(device, reader)),
    ...dependencyNodes(reader, vms),
    healthNode(take(reader, 'healthcheck'), reader),
    simple(reader, 'stop_grace_period'),
    environmentNode(reader),
    cloudInitNode(take(reader, 'cloud_init'), reader, isHolos ? 'ubuntu' : userOf(image ?? '')),
    sshNode(reader),
    ...provisionNodes(reader, isHolos),
  ]
  leftOver(resources)
  leftOver(reader)
  return group('vm', [name], children)
}

/** MB, or a text with a unit. */
const memoryNode = (reader: Reader): KdlNode | undefined => {
  const text = textOf(take(reader, 'memory'))
  if (text === undefined) return undefined
  if (parseSize(text, 2 ** 20) !== undefined) return node('memory', /^\d+$/.test(text) ? Number(text) : text)
  reader.warnings.about(reader.place, `memory ${JSON.stringify(text)} is left out: it is no size`)
  return undefined
}

/** The user whom qemu-compose logs in as: it looks for these words in the URL. */
const userOf = (image: string): string => {
  const words = ['fedora', 'ubuntu', 'debian', 'centos', 'rhel']
  const found = words.find((word) => image.toLowerCase().includes(word))
  return found === 'rhel' ? 'cloud-user' : (found ?? 'ubuntu')
}

const imageNode = (reader: Reader, isHolos: boolean): KdlNode | undefined => {
  const image = textOf(take(reader, 'image'))
  const props = {format: textOf(take(reader, 'image_format')), os: textOf(take(reader, 'image_os'))}
  if (image === undefined) return undefined
  if (image.includes('${')) {
    reader.warnings.about(reader.place, `the image ${image} is left out: variables are not replaced; name the image`)
    return undefined
  }
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(image)) return withProps(node('image-url', image), props)
  if (looksLikeImagePath(image)) return withProps(node('image', hostPath(image)), props)
  // Without a release holos takes Debian 12, and vmctl the newest.
  return withProps(node('image', isHolos && image === 'debian' ? 'debian:12' : image), props)
}

const pathNode = (reader: Reader, key: string): KdlNode | undefined => {
  const path = textOf(take(reader, key))
  return path === undefined ? undefined : node(key, hostPath(path))
}

/** 10 GB is what qemu-compose gives when nothing is said; vmctl would leave the image as it is. */
const diskNode = (reader: Reader, resources: Reader, isHolos: boolean): KdlNode | undefined => {
  const disk = take(reader, 'disk')
  const own = readerOf(`${reader.place}: disk`, textOf(disk) === undefined ? disk : {size: disk}, reader.warnings)
  const given = take(resources, 'disk_size') ?? take(own, 'size')
  const size = importedSize(reader, given, {isHolos, key: isHolos ? 'disk_size' : 'disk'})
  leftOver(own)
  if (size !== undefined) return node('disk', size)
  return isHolos || given !== undefined ? undefined : node('disk', '10G')
}

const qemuNode = (resources: Reader): KdlNode | undefined => {
  const machine = simple(resources, 'machine')
  const cpu = simple(resources, 'cpu_model', 'cpu')
  const emulator = simple(resources, 'emulator', 'binary')
  // What vmctl chooses itself, where the host can do it.
  const children = [machine?.args[0] === 'q35' ? undefined : machine, cpu?.args[0] === 'host' ? undefined : cpu, emulator]
  const args = listOf(take(resources, 'extra_args')).map((arg) => textOf(arg))
  if (args.some((arg) => arg === undefined))
    resources.warnings.about(resources.place, 'extra_args are left out: they should be a list of texts')
  else if (args.length > 0) children.push(node('args', ...args))
  return children.some(Boolean) ? group('qemu', [], children) : undefined
}

/** A VM of qemu-compose that names no network has none but its own; in a VMFile it would join the network "default". */
const networkNodes = (reader: Reader, {networks, fixed}: Around): readonly KdlNode[] => {
  const joined = joinedNodes(reader, networks, fixed)
  return joined.length === 0 && [...networks.values()].includes('default') ? [node('network', 'user')] : joined
}

const provisionNodes = (reader: Reader, isHolos: boolean): readonly (KdlNode | undefined)[] => {
  const steps = listOf(take(reader, 'provision')).map((step) => provisionNode(step, reader))
  if (!isHolos && steps.some(Boolean))
    reader.warnings.about(
      reader.place,
      'qemu-compose reads provision and never runs it: vmctl runs these steps at every `vmctl up`; add run="once" where once is enough',
    )
  return steps
}

export const isEmpty = (value: unknown): boolean => Object.keys(fieldsOf(value)).length === 0
