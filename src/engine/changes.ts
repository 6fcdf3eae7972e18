import {isDeepStrictEqual} from 'node:util'

import {formatSize} from '../model/quantity.ts'
import {displaySource, withoutSecrets} from '../model/secrets.ts'
import type {PortForward, VolumeMount} from '../model/stack.ts'
import type {NetworkConfig, VmSpec} from '../model/vm.ts'

/** When a change of a spec takes effect: at once, at the next start, or only on a new VM. */
export type Effect = 'now' | 'restart' | 'reload'

/** One difference between the spec that a VM was made from and the one that is wanted now. */
export interface Change {
  readonly field: keyof VmSpec
  /** In words: `memory 1024 → 2048 MB`. */
  readonly text: string
  readonly effect: Effect
}

const describeNetwork = (network: NetworkConfig): string => {
  if (network.type === 'tap') return `tap ${network.bridge}`
  return network.type === 'vnic' ? `vnic ${network.name}` : network.type
}

const describeNetworks = ({networks = []}: VmSpec): string =>
  networks.map(({network, ip}) => (ip === undefined ? network.name : `${network.name} (${ip})`)).join(', ') || 'none'

const describeDisk = (bytes: number | undefined): string => (bytes === undefined ? 'size of the image' : formatSize(bytes))

/**
 * Compares specs field by field; pure. The disk may only grow, and what a guest learns on its first boot (cloud-init) or
 * is made of (the image) cannot change under it.
 */
export const compareSpecs = (recorded: VmSpec, declared: VmSpec): Change[] => {
  const [applied, wanted] = [withoutSecrets(recorded), withoutSecrets(declared)]
  const changes: Change[] = []
  const add = (field: keyof VmSpec, effect: Effect, text: string): void => {
    if (!isDeepStrictEqual(applied[field], wanted[field])) changes.push({field, effect, text})
  }
  add('image', 'reload', `image ${displaySource(applied.image)} → ${displaySource(wanted.image)}`)
  add('cloudInit', 'reload', 'cloud-init')
  add('vcpus', 'restart', `vcpus ${applied.vcpus} → ${wanted.vcpus}`)
  add('memoryMiB', 'restart', `memory ${applied.memoryMiB} → ${wanted.memoryMiB} MB`)
  add(
    'diskBytes',
    diskEffect(applied.diskBytes, wanted.diskBytes),
    `disk ${describeDisk(applied.diskBytes)} → ${describeDisk(wanted.diskBytes)}`,
  )
  add('network', 'restart', `network ${describeNetwork(applied.network)} → ${describeNetwork(wanted.network)}`)
  add('networks', 'restart', `networks ${describeNetworks(applied)} → ${describeNetworks(wanted)}`)
  add('firmware', 'restart', `firmware ${applied.firmware?.type ?? 'bios'} → ${wanted.firmware?.type ?? 'bios'}`)
  add('qemu', 'restart', 'qemu')
  add('ssh', 'now', 'ssh')
  add('env', 'now', 'env')
  add('dependsOn', 'now', 'depends-on')
  add('healthcheck', 'now', 'healthcheck')
  add('stopGraceMs', 'now', 'stop-grace-period')
  add('ports', 'now', describeList('port', [applied.ports, wanted.ports], describePort))
  add('volumes', 'restart', describeList('volume', [applied.volumes, wanted.volumes], describeVolume))
  add(
    'shares',
    'restart',
    describeList('share', [applied.shares, wanted.shares], ({target}) => target),
  )
  return changes
}

const describePort = ({protocol, bind, host = 0, guest}: PortForward): string =>
  `${bind === '127.0.0.1' ? '' : `${bind}:`}${host === 0 ? '' : `${host}:`}${guest}${protocol === 'tcp' ? '' : `/${protocol}`}`

const describeVolume = ({volume, readOnly}: VolumeMount): string => `${volume.name}${readOnly ? ' (read-only)' : ''}`

/** `port +8080:80 −9090:90`; what is there before and after under one name has changed in itself. */
const describeList = <T>(
  word: string,
  [applied = [], wanted = []]: readonly [readonly T[] | undefined, readonly T[] | undefined],
  describe: (element: T) => string,
): string => {
  const [before, after] = [applied.map(describe), wanted.map(describe)]
  const added = after.filter((name) => !before.includes(name)).map((name) => `+${name}`)
  const removed = before.filter((name) => !after.includes(name)).map((name) => `−${name}`)
  const changed = [...added, ...removed]
  if (changed.length > 0) return `${word} ${changed.join(' ')}`
  const others = wanted.filter((element) => !applied.some((one) => isDeepStrictEqual(one, element))).map(describe)
  return `${word} ${others.join(' ') || 'order'}`
}

const diskEffect = (applied: number | undefined, wanted: number | undefined): Effect => {
  if (wanted === undefined) return 'now'
  return applied !== undefined && wanted < applied ? 'reload' : 'restart'
}

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
