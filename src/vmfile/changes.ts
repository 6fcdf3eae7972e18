import {isDeepStrictEqual} from 'node:util'

import {formatDuration, formatSize} from '../model/quantity.ts'
import {withoutSecrets} from '../model/secrets.ts'
import type {VmSpec} from '../model/vm.ts'
import {always, arrow, type Change, type Compare, type Effect, namesOf} from './grammar/change.ts'
import {cloudInitChange} from './nodes/cloud-init.ts'
import {dependsOnChange} from './nodes/depends-on.ts'
import {devicesChange} from './nodes/device.ts'
import {dockerfileChange} from './nodes/dockerfile.ts'
import {firmwareChange} from './nodes/firmware.ts'
import {healthcheckChange} from './nodes/healthcheck.ts'
import {imageChange} from './nodes/image.ts'
import {attachmentsChange, networkChange} from './nodes/network.ts'
import {portsChange} from './nodes/port.ts'
import {qemuChange} from './nodes/qemu.ts'
import {sharesChange} from './nodes/share.ts'
import {sshChange} from './nodes/ssh.ts'
import {volumesChange} from './nodes/volume.ts'

const describeDisk = (bytes: number | undefined): string => (bytes === undefined ? 'size of the image' : formatSize(bytes))

const describeMilliseconds = (milliseconds: number | undefined): string =>
  milliseconds === undefined ? 'the default' : formatDuration(milliseconds)

const compareDisk: Compare<'diskBytes'> = (applied, wanted) => {
  const shrinks = applied !== undefined && wanted !== undefined && wanted < applied
  const effect = wanted === undefined ? 'now' : shrinks ? 'reload' : 'restart'
  return {effect, text: `disk ${describeDisk(applied)} → ${describeDisk(wanted)}`}
}

/**
 * How a change of each field of a spec takes effect and is told, in the order in which changes are told; a field without an entry
 * does not compile. Provision steps are not among them: the journal knows what was done.
 */
const fields: {readonly [K in Exclude<keyof VmSpec, 'name' | 'provision'>]: Compare<K>} = {
  image: imageChange,
  dockerfile: dockerfileChange,
  cloudInit: cloudInitChange,
  vcpus: always('restart', arrow('vcpus')),
  memoryMiB: always('restart', arrow('memory', ' MB')),
  diskBytes: compareDisk,
  network: networkChange,
  networks: attachmentsChange,
  volumes: volumesChange,
  shares: sharesChange,
  devices: devicesChange,
  firmware: firmwareChange,
  qemu: qemuChange,
  ssh: sshChange,
  ports: portsChange,
  env: always('now', namesOf('env')),
  dependsOn: dependsOnChange,
  healthcheck: healthcheckChange,
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
