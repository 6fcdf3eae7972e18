import {isDeepStrictEqual} from 'node:util'

import {formatDuration, formatSize} from '../model/quantity.ts'
import type {BackendNodes} from '../model/backend-node.ts'
import {withoutSecrets} from '../model/secrets.ts'
import type {BackendSections, VmSpec} from '../model/vm.ts'
import {always, arrow, type Change, type Compare, type Effect, namesOf} from './grammar/change.ts'
import {effectOf} from './nodes/backend.ts'
import {cloudInitChange} from './nodes/cloud-init.ts'
import {dependsOnChange} from './nodes/depends-on.ts'
import {devicesChange} from './nodes/device.ts'
import {dockerfileChange} from './nodes/dockerfile.ts'
import {firmwareChange} from './nodes/firmware.ts'
import {healthcheckChange} from './nodes/healthcheck.ts'
import {homeChange, kindChange, placeChange} from './nodes/home.ts'
import {imageChange} from './nodes/image.ts'
import {attachmentsChange, networkChange} from './nodes/network.ts'
import {portsChange} from './nodes/port.ts'
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
const fields: {readonly [K in Exclude<keyof VmSpec, 'name' | 'provision' | keyof BackendSections>]: Compare<K>} = {
  home: homeChange,
  kind: kindChange,
  place: placeChange,
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
  ssh: sshChange,
  ports: portsChange,
  env: always('now', namesOf('env')),
  dependsOn: dependsOnChange,
  healthcheck: healthcheckChange,
  stopGraceMs: always('now', (applied, wanted) => `stop-grace-period ${describeMilliseconds(applied)} → ${describeMilliseconds(wanted)}`),
  autostart: always('now', (_applied, wanted = true) => `autostart #${wanted}`),
  warm: always('now', (_applied, wanted = false) => `warm #${wanted}`),
  labels: always('now', namesOf('label')),
  project: always('now', arrow('project')),
  service: always('now', arrow('service')),
  replica: always('now', arrow('replica')),
}

/**
 * Compares specs field by field; pure. The disk may only grow, and what a guest learns on its first boot (cloud-init) or
 * is made of (the image) cannot change under it.
 */
export const compareSpecs = (recorded: VmSpec, declared: VmSpec, backends: BackendNodes = new Map()): Change[] => {
  const [applied, wanted] = [entriesOf(withoutSecrets(recorded)), entriesOf(withoutSecrets(declared))]
  return [...Object.keys(fields), ...backendsOf({...applied, ...wanted})]
    .filter((field) => !isDeepStrictEqual(applied[field], wanted[field]))
    .map((field) => ({field, ...compareOf(field, backends)(applied[field], wanted[field])}))
}

const entriesOf = (spec: VmSpec): Readonly<Record<string, unknown>> => ({...spec})

/** The names of the backends of whose nodes a spec has something. */
const backendsOf = (spec: Readonly<Record<string, unknown>>): string[] => Object.keys(spec).filter((name) => !isSpecField(name))

/** Whether a spec itself has a field of this name, which a backend then cannot have. */
export const isSpecField = (name: string): boolean => Object.hasOwn(fields, name) || name === 'name' || name === 'provision'

/** The compiler cannot see that a field and its comparison belong together. */
const compareOf = (field: string, backends: BackendNodes): ((applied: unknown, wanted: unknown) => Omit<Change, 'field'>) =>
  Object.hasOwn(fields, field)
    ? (fields[field as keyof typeof fields] as (applied: unknown, wanted: unknown) => Omit<Change, 'field'>)
    : (applied, wanted) => {
        const [before, after] = [{...(applied as object)}, {...(wanted as object)}] as [Record<string, unknown>, Record<string, unknown>]
        const changed = Object.keys({...before, ...after}).filter((name) => !isDeepStrictEqual(before[name], after[name]))
        return {effect: effectOf(backends.get(field), changed), text: namesOf(field)(before, after)}
      }

/** The spec with those changes applied that take effect in the given situation; the others stay as they are, and are seen again next time. */
export const applyChanges = (
  applied: VmSpec,
  wanted: VmSpec,
  {effects, backends}: {readonly effects: ReadonlySet<Effect>; readonly backends?: BackendNodes | undefined},
): VmSpec => {
  // Provision steps are not part of the comparison: the journal knows what was done of them.
  const next: Record<string, unknown> = {...applied, provision: wanted.provision}
  for (const {field, effect} of compareSpecs(applied, wanted, backends)) {
    if (!effects.has(effect)) continue
    const value = entriesOf(wanted)[field]
    if (value === undefined) delete next[field]
    else next[field] = value
  }
  return next as unknown as VmSpec
}
