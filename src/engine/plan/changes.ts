import {isDeepStrictEqual} from 'node:util'

import {formatDuration, formatSize} from '../../model/quantity.ts'
import {displaySource, withoutSecrets} from '../../model/secrets.ts'
import type {NetworkAttachment, PortForward, VolumeMount} from '../../model/stack.ts'
import type {ImageReference, NetworkConfig, VmSpec} from '../../model/vm.ts'

/** When a change of a spec takes effect: at once, at the next start, or only on a new VM. */
export type Effect = 'now' | 'restart' | 'reload'

/** One difference between the spec that a VM was made from and the one that is wanted now. */
export interface Change {
  readonly field: keyof VmSpec
  /** In words: `memory 1024 → 2048 MB`. */
  readonly text: string
  readonly effect: Effect
}

type Compare<K extends keyof VmSpec> = (applied: VmSpec[K], wanted: VmSpec[K]) => Pick<Change, 'text' | 'effect'>

const always =
  <K extends keyof VmSpec>(effect: Effect, text: string | ((applied: VmSpec[K], wanted: VmSpec[K]) => string)): Compare<K> =>
  (applied, wanted) => ({effect, text: typeof text === 'string' ? text : text(applied, wanted)})

const arrow =
  (noun: string, unit = '') =>
  (applied: string | number | undefined, wanted: string | number | undefined): string =>
    `${noun} ${applied ?? 'none'} → ${wanted ?? 'none'}${unit}`

/** `env +A −B C`: names that came, that went, and that mean something else now. */
const namesOf =
  (noun: string) =>
  (applied: Readonly<Record<string, unknown>> = {}, wanted: Readonly<Record<string, unknown>> = {}): string => {
    const came = Object.keys(wanted).filter((name) => !Object.hasOwn(applied, name))
    const went = Object.keys(applied).filter((name) => !Object.hasOwn(wanted, name))
    const others = Object.keys(wanted).filter((name) => Object.hasOwn(applied, name) && !isDeepStrictEqual(applied[name], wanted[name]))
    return [noun, ...came.map((name) => `+${name}`), ...went.map((name) => `−${name}`), ...others].join(' ')
  }

/** The same for a list of things, each of which has a name. */
const listOf =
  <T>(noun: string, nameOf: (one: T) => string) =>
  (applied: readonly T[] | undefined = [], wanted: readonly T[] | undefined = []): string => {
    const byName = (list: readonly T[]): Record<string, T> => Object.fromEntries(list.map((one) => [nameOf(one), one]))
    const text = namesOf(noun)(byName(applied), byName(wanted))
    return text === noun ? `${noun} order` : text
  }

const describeNetwork = (network: NetworkConfig): string => {
  if (network.type === 'tap') return `tap ${network.bridge}`
  return network.type === 'vnic' ? `vnic ${network.name}` : network.type
}

const describeDisk = (bytes: number | undefined): string => (bytes === undefined ? 'size of the image' : formatSize(bytes))

const describePort = ({protocol, bind, host, guest}: PortForward): string => {
  const address = bind === '127.0.0.1' ? '' : `${bind.includes(':') ? `[${bind}]` : bind}:`
  return `${address}${host === undefined ? '' : `${host}:`}${guest}${protocol === 'tcp' ? '' : `/${protocol}`}`
}

const describeAttachment = ({network, ip}: NetworkAttachment): string => (ip === undefined ? network.name : `${network.name} (${ip})`)

const describeVolume = ({volume, readOnly}: VolumeMount): string => `${volume.name}${readOnly ? ' (read-only)' : ''}`

const describeMilliseconds = (milliseconds: number | undefined): string =>
  milliseconds === undefined ? 'the default' : formatDuration(milliseconds)

const compareDisk: Compare<'diskBytes'> = (applied, wanted) => {
  const shrinks = applied !== undefined && wanted !== undefined && wanted < applied
  const effect = wanted === undefined ? 'now' : shrinks ? 'reload' : 'restart'
  return {effect, text: `disk ${describeDisk(applied)} → ${describeDisk(wanted)}`}
}

/** What the disk was made from; the rest is about how it came here. */
const contentOf = ({kind, source, format, sha256, sha512}: ImageReference): unknown => ({kind, source, format, sha256, sha512})

const compareImage: Compare<'image'> = (applied, wanted) =>
  isDeepStrictEqual(contentOf(applied), contentOf(wanted))
    ? {effect: 'now', text: namesOf('image')({...applied}, {...wanted})}
    : {effect: 'reload', text: `image ${displaySource(applied)} → ${displaySource(wanted)}`}

/** The words of the VMFile for what cloud-init is told. */
const cloudInitWords: Readonly<Record<string, string>> = {
  sshKeys: 'ssh-key',
  userData: 'user-data',
  packageUpdate: 'package-update',
  packageUpgrade: 'package-upgrade',
  writeFiles: 'write-file',
  bootCommands: 'bootcmd',
  runCommands: 'runcmd',
  networkConfig: 'network-config',
  vendorData: 'vendor-data',
  passwordHash: 'password',
  consoleAutologin: 'console-autologin',
}

const describeCloudInit = (applied: VmSpec['cloudInit'], wanted: VmSpec['cloudInit']): string => {
  if (!applied || !wanted) return 'cloud-init'
  const fields = [...new Set([...Object.keys(applied), ...Object.keys(wanted)])] as (keyof typeof applied)[]
  const changed = fields.filter((field) => !isDeepStrictEqual(applied[field], wanted[field]))
  return `cloud-init ${changed.map((field) => cloudInitWords[field] ?? field).join(', ')}`
}

/** Keys are made with the VM. The port of SSH is one that the running QEMU listens on. */
const compareSsh: Compare<'ssh'> = (applied, wanted) => {
  const [was, is] = [applied?.keyType ?? 'ed25519', wanted?.keyType ?? 'ed25519']
  if (was !== is) return {effect: 'reload', text: arrow('ssh key-type')(was, is)}
  return applied?.port === wanted?.port
    ? {effect: 'now', text: 'ssh'}
    : {effect: 'restart', text: arrow('ssh port')(applied?.port, wanted?.port)}
}

/** Every field of a spec, in the order in which changes are told. Provision steps are not among them: the journal knows what was done. */
const fields: {readonly [K in Exclude<keyof VmSpec, 'name' | 'provision'>]: Compare<K>} = {
  image: compareImage,
  dockerfile: always('now', 'dockerfile'),
  cloudInit: always('reload', describeCloudInit),
  vcpus: always('restart', arrow('vcpus')),
  memoryMiB: always('restart', arrow('memory', ' MB')),
  diskBytes: compareDisk,
  network: always('restart', (applied, wanted) => `network ${describeNetwork(applied)} → ${describeNetwork(wanted)}`),
  networks: always('restart', listOf('networks', describeAttachment)),
  volumes: always('restart', listOf('volume', describeVolume)),
  shares: always(
    'restart',
    listOf('share', ({target}) => target),
  ),
  devices: always(
    'restart',
    listOf('device', ({address}) => address),
  ),
  firmware: always('restart', (applied, wanted) =>
    applied?.type === wanted?.type && wanted
      ? namesOf('firmware')({...applied}, {...wanted})
      : `firmware ${applied?.type ?? 'bios'} → ${wanted?.type ?? 'bios'}`,
  ),
  qemu: always('restart', (applied, wanted) => namesOf('qemu')({...applied}, {...wanted})),
  ssh: compareSsh,
  ports: always('now', listOf('port', describePort)),
  env: always('now', namesOf('env')),
  dependsOn: always(
    'now',
    listOf('depends-on', ({vm}) => vm),
  ),
  healthcheck: always('now', 'healthcheck'),
  stopGraceMs: always('now', (applied, wanted) => `stop-grace-period ${describeMilliseconds(applied)} → ${describeMilliseconds(wanted)}`),
  autostart: always('now', (_applied, wanted = true) => `autostart #${wanted}`),
  labels: always('now', namesOf('label')),
  project: always('now', arrow('project')),
  service: always('now', arrow('service')),
  replica: always('now', arrow('replica')),
}

/**
 * Compares specs field by field; pure. The disk may only grow, and what a guest learns on its first boot (cloud-init) or
 * is made of (the image) cannot change under it.
 */
export const compareSpecs = (recorded: VmSpec, declared: VmSpec): Change[] => {
  const [applied, wanted] = [withoutSecrets(recorded), withoutSecrets(declared)]
  return (Object.keys(fields) as (keyof typeof fields)[])
    .filter((field) => !isDeepStrictEqual(applied[field], wanted[field]))
    .map((field) => ({field, ...compareOf(field)(applied[field], wanted[field])}))
}

/** The compiler cannot see that a field and its comparison belong together. */
const compareOf = (field: keyof typeof fields): ((applied: unknown, wanted: unknown) => Omit<Change, 'field'>) =>
  fields[field] as (applied: unknown, wanted: unknown) => Omit<Change, 'field'>

/** The spec with those changes applied that take effect in the given situation; the others stay as they are, and are seen again next time. */
export const applyChanges = (applied: VmSpec, wanted: VmSpec, effects: ReadonlySet<Effect>): VmSpec => {
  // Provision steps are not part of the comparison: the journal knows what was done of them.
  const next: Record<string, unknown> = {...applied, provision: wanted.provision}
  for (const {field, effect} of compareSpecs(applied, wanted)) {
    if (!effects.has(effect)) continue
    if (wanted[field] === undefined) delete next[field]
    else next[field] = wanted[field]
  }
  return next as unknown as VmSpec
}
