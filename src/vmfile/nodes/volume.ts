import {isVmName} from '../../model/names.ts'
import type {VolumeMount, VolumeSpec} from '../../model/storage.ts'
import {always, listOf} from '../grammar/change.ts'
import {boolean, fileSafeName, mountPoint, size, text, word} from '../grammar/kinds.ts'
import {block, defaulted, field, type Kind, type Read, required} from '../grammar/shapes.ts'
import type {Report, Span} from '../kdl/report.ts'
import {nearest, plain, quoted} from '../kdl/wording.ts'
import {type Context, optional} from '../resolve/context.ts'
import {mountOptions, readOnlyField} from './mounting.ts'

const safeName = fileSafeName('volume name', '"data"')

/** A name; a path in its place was meant for a share, as Compose writes both with one word. */
const volumeName: Kind<string> = {
  ...safeName,
  read(value, fail) {
    if (typeof value !== 'string' || isVmName(value)) return safeName.read(value, fail)
    const [source = '', target] = value.split(':')
    if (/^[.~]|\//.test(source))
      return fail(
        `${quoted(source)} is a path, and a volume has a name`,
        `a folder of the host is a share: share ${quoted(source)} ${quoted(target ?? '/srv')}`,
      )
    return target === undefined
      ? safeName.read(value, fail)
      : fail(`${quoted(value)} is not a valid volume name`, `write the target apart: volume ${quoted(source)} ${quoted(target)}`)
  },
}

export const volumeDefinitionNode = block(
  'A disk that outlives its VMs.',
  {argument: required(volumeName, 'Name of the volume.'), repeatable: true},
  {
    size: defaulted(
      size({unit: 'GB', leastBytes: 2 ** 20, least: '1 MB', stepBytes: 2 ** 20, example: '20'}),
      10 * 2 ** 30,
      'Size of the disk.',
    ),
    filesystem: defaulted(word('file system', 'ext4', 'xfs', 'none'), 'ext4', 'File system that it gets in the guest when it is empty.'),
    label: field(
      text('file system label', {
        rule: 'at most 12 of letters, digits, . _ and -',
        isValid: (name) => /^[\w.-]{1,12}$/.test(name),
        example: '"pgdata"',
      }),
      'Label of the file system; derived from the name when absent.',
    ),
  },
)

export const volumeNode = block(
  'A volume of the top level of the file, mounted in the guest.',
  {argument: required(volumeName, 'Name of the volume.'), positional: ['target'], repeatable: true},
  {
    target: field(mountPoint, 'Where it is mounted in the guest.'),
    'read-only': readOnlyField,
    'per-replica': defaulted(boolean, false, 'Whether each replica has a volume of its own.'),
    options: mountOptions,
  },
)

type ReadDefinition = Read<typeof volumeDefinitionNode>[number]

export type ReadVolume = Read<typeof volumeNode>[number]

/** A volume of the file, with the place where it is declared. */
interface DeclaredVolume {
  readonly spec: VolumeSpec
  readonly place: Span
}

export type DeclaredVolumes = ReadonlyMap<string, DeclaredVolume>

/** The volumes of the top level, by name. */
export const buildVolumes = (definitions: readonly ReadDefinition[], scope: string, {report}: Context): DeclaredVolumes => {
  const declared = new Map<string, DeclaredVolume>()
  for (const {argument: name, fields} of definitions) {
    if (!name) continue
    const {size, filesystem, label} = fields
    const first = declared.get(name.value)
    if (first) {
      const line = report.lineOf(first.place.start)
      report.error(name, `there are two volumes named ${quoted(name.value)}`, `the first is in line ${line}; choose another name`)
      continue
    }
    if (filesystem.value === 'none' && label)
      report.error(label, 'a volume without a file system has no label', 'remove it, or filesystem "none"')
    const spec = {id: `${scope}.${name.value}`, name: name.value, sizeBytes: size.value, filesystem: filesystem.value}
    declared.set(name.value, {spec: {...spec, ...optional('label', label?.value)}, place: name})
  }
  return declared
}

/** A mount as all replicas have it. */
export interface DeclaredMount {
  readonly spec: VolumeMount
  readonly isPerReplica: boolean
  readonly place: Span
}

/** Resolves the volume nodes of a VM. */
export const buildMounts = (
  nodes: readonly ReadVolume[],
  declared: DeclaredVolumes,
  replicas: number,
  {report}: Context,
): readonly DeclaredMount[] =>
  nodes.flatMap((node) => {
    const {argument: name, fields} = node
    if (!name) return []
    const found = declared.get(name.value)
    if (!found) {
      const hint = nearest(name.value, declared.keys()) ?? `declare it at the top level: volume "${name.value}"`
      report.error(name, `there is no volume named ${plain(name.value)}`, hint)
      return []
    }
    const {target, 'read-only': readOnly, 'per-replica': perReplica, options} = fields
    const hasFilesystem = found.spec.filesystem !== 'none'
    if (hasFilesystem && !node.given.has('target'))
      report.error(node, 'volume needs a place in the guest', `write volume "${name.value}" "/srv"`)
    if (!hasFilesystem && target)
      report.error(target, `volume "${name.value}" has no file system to mount`, 'leave out the place in the guest, or filesystem "none"')
    if (replicas > 1 && !readOnly.value && !perReplica.value) {
      report.error(node, `${replicas} replicas cannot write to one volume`, 'add per-replica=#true or read-only=#true')
    }
    const mount = {
      volume: found.spec,
      ...optional('target', hasFilesystem ? target?.value : undefined),
      readOnly: readOnly.value,
      options: options.map(({value}) => value),
    }
    return [{spec: mount, isPerReplica: perReplica.value && replicas > 1, place: name}]
  })

/** The mounts of one replica. */
export const mountsOf = (mounts: readonly DeclaredMount[], replica: number): readonly VolumeMount[] =>
  mounts.map(({spec, isPerReplica}) => (isPerReplica ? {...spec, volume: {...spec.volume, id: `${spec.volume.id}-${replica}`}} : spec))

interface Mounting {
  readonly name: string
  readonly mounts: readonly DeclaredMount[]
}

/**
 * A volume that one VM writes to belongs to it alone: an ext4 or xfs that is mounted twice is destroyed by two writers, and
 * shows a reader what was never there.
 */
export const refuseTwoWriters = (services: readonly Mounting[], {report}: Context): void => {
  const uses = services.flatMap(({name, mounts}) => mounts.map((mount) => ({...mount, vm: name})))
  for (const mounts of Map.groupBy(uses, ({spec}) => spec.volume.id).values()) {
    const [first, ...others] = mounts
    const writer = mounts.find(({spec}) => !spec.readOnly)
    for (const other of others) {
      if (!first || (!writer && other.vm !== first.vm)) continue
      const earlier = other === writer ? first : (writer ?? first)
      refuseSecond(earlier, other, report)
    }
  }
}

type Use = DeclaredMount & {readonly vm: string}

const refuseSecond = (earlier: Use, other: Use, report: Report): void => {
  const line = `it is in line ${report.lineOf(earlier.place.start)}`
  const volume = `volume "${other.spec.volume.name}"`
  const both = `"${earlier.vm}" and "${other.vm}"`
  if (earlier.vm === other.vm) report.error(other.place, `${volume} is mounted twice`, `${line} already; keep one of the two`)
  else if (!earlier.spec.readOnly && !other.spec.readOnly)
    report.error(other.place, `two VMs write to ${volume}: ${both}`, `${line} already; one VM can write to a volume`)
  else
    report.error(
      other.place,
      `${volume} is written by one VM and read by another: ${both}`,
      `${line} already; add read-only=#true to both, or keep one of the two`,
    )
}

/** Volumes that nobody mounts are a warning: they are kept, but they are likely a mistake. */
export const warnUnused = (declared: DeclaredVolumes, services: readonly Mounting[], report: Report): void => {
  const used = new Set(services.flatMap(({mounts}) => mounts.map(({spec}) => spec.volume.name)))
  for (const [name, {place}] of declared) {
    if (!used.has(name)) report.warning(place, `volume "${name}" is used by no VM`, `write volume "${name}" "/srv" in a vm, or remove it`)
  }
}

const describeVolume = ({volume, readOnly}: VolumeMount): string => `${volume.name}${readOnly ? ' (read-only)' : ''}`

export const volumesChange = always<'volumes'>('restart', listOf('volume', describeVolume))
