import {stat} from 'node:fs/promises'

import {pathExists} from '../../host/files.ts'
import {VmctlError} from '../../model/errors.ts'
import {layerLimits} from '../../model/limits.ts'
import {hasShell} from '../../model/login.ts'
import {formatDuration, formatSize, parseSize} from '../../model/quantity.ts'
import type {DiskLayer} from '../../model/storage.ts'
import type {BaseImage, Vm, VmSpec} from '../../model/vm.ts'
import {chainOf, type Chain, isSaved} from '../../provision/run/chain.ts'
import {type DeclaredStep, digest} from '../../provision/run/declare.ts'
import type {Journal} from '../../provision/run/journal.ts'
import {type Layer, layerFile, listLayers, readLayer} from '../../store/layers.ts'
import type {Engine} from '../engine.ts'
import {sshUser} from '../reach/identity.ts'

/** A layer from which a VM can be made. */
export interface FoundLayer {
  readonly layer: Layer
  /** Whether the guest of the VM that is replaced goes on as the same machine; else the new one becomes another. */
  readonly isOwn: boolean
  /** The last step of which it has the result, counted from 1. */
  readonly step: number
  /** What it takes with all that it reads through to, without the image. */
  readonly bytes: number
  /** The time of the steps that do not run again; absent when it is not known. */
  readonly savedMs?: number
  /** What is on record of the steps of a VM that is made from it. */
  readonly journal: Journal
}

/**
 * For how many bytes of layers there is room; undefined where none are kept.
 * @throws VmctlError `vmctl::usage::invalid`
 */
export const layerRoom = ({env}: Pick<Engine, 'env'>): number | undefined => {
  const asked = env.VMCTL_LAYERS || `${layerLimits.mostBytes / 2 ** 30}G`
  if (/^off$/i.test(asked)) return undefined
  const bytes = parseSize(asked, 2 ** 30)
  if (bytes !== undefined) return bytes
  throw new VmctlError('vmctl::usage::invalid', `VMCTL_LAYERS is ${JSON.stringify(asked)}, which is no size.`, {
    help: 'Set it to what layers of provision steps may take together, such as 20G, or to "off".',
  })
}

/** Whether the backend of new VMs makes layers, and the user wants them. */
export const hasLayers = (engine: Engine): boolean =>
  layerRoom(engine) !== undefined && engine.hypervisors.get(engine.backend)?.freeze !== undefined

/** The steps of a VM on what it is made from. */
export const layerChain = async (
  engine: Engine,
  {spec, steps, base}: {readonly spec: VmSpec; readonly steps: readonly DeclaredStep[]; readonly base: BaseImage},
): Promise<Chain> =>
  hasShell(spec.ssh)
    ? chainOf(digest(await rootOf(engine, spec, base)), steps, outsideOf(spec))
    : {hashes: [], end: {step: 1, why: 'the guest has no shell through which it could be told to write all to its disk'}}

/** What steps may have written where no layer is made of it, in words. */
const outsideOf = ({volumes = [], shares = []}: VmSpec): string | undefined => {
  const isWritten = ({readOnly}: {readonly readOnly: boolean}): boolean => !readOnly
  if (volumes.some(isWritten)) return 'the VM has a volume that it may write to, of which no layer is made'
  return shares.some(isWritten) ? 'the VM has a share that it may write to, of which no layer is made' : undefined
}

/** What a plan that makes a VM says when no layer can be kept of its steps on account of what else they may write to. */
export const layerNotices = (engine: Engine, {spec, steps}: {readonly spec: VmSpec; readonly steps: readonly DeclaredStep[]}): string[] => {
  const why = hasLayers(engine) && steps.some((step) => step.kept === undefined && isSaved(step)) ? outsideOf(spec) : undefined
  return why === undefined ? [] : [`its steps are kept in no layer, because ${why}; \`cache #true\` on a step keeps it all the same`]
}

/** All that makes the disk after the first boot what it is, but for what the guest is called and how it is reached. */
const rootOf = async ({backend}: Engine, spec: VmSpec, base: BaseImage): Promise<readonly unknown[]> => {
  const {cloudInit, firmware, diskBytes, image, shares = [], ssh} = spec
  const {hostname: _hostname, ...firstBoot} = cloudInit ?? {hostname: ''}
  return [
    1,
    backend,
    await imageIdentity(base),
    diskBytes ?? null,
    image.os ?? 'systemd',
    sshUser({spec}),
    ssh?.keyType ?? null,
    firmware && [firmware.type, firmware.secureBoot],
    cloudInit ? withoutPaths(firstBoot) : null,
    shares.length > 0,
  ]
}

/** A file of the host is what is in it, wherever it is. */
const withoutPaths = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (_key, one: unknown) =>
      typeof one === 'object' && one !== null && 'path' in one && 'sha256' in one ? one.sha256 : one,
    ),
  )

/** A local image has no digest, and may be too large to be read each time: it is the same one while nobody has written to it. */
const imageIdentity = async ({sha256, path, format}: BaseImage): Promise<readonly unknown[]> => {
  if (sha256 !== undefined) return [sha256, format]
  const {dev, ino, size, mtimeMs} = await stat(path)
  return [path, format, dev, ino, size, mtimeMs]
}

/** What a guest is set up for on its first boot and no layer can change: the networks, the name of the host. */
export const placeOf = ({network, networks = [], cloudInit}: VmSpec): string => digest([network, networks, cloudInit?.hostname ?? null])

/** The layer with most of the steps that a VM can be made from; undefined when it is to be made from its image. */
export const findLayer = async (
  engine: Engine,
  {
    spec,
    steps,
    base,
    identity,
  }: {
    readonly spec: VmSpec
    readonly steps: readonly DeclaredStep[]
    readonly base: BaseImage
    /** By what the guest of the VM that is replaced knows itself, if there is one. */
    readonly identity: string | undefined
  },
): Promise<FoundLayer | undefined> => {
  // Layers are files of this host.
  if (spec.home || !hasLayers(engine)) return undefined
  const {hashes} = await layerChain(engine, {spec, steps, base})
  for (const [index, hash] of [...hashes.entries()].toReversed()) {
    const layer = await readLayer(engine.store, hash)
    if (!layer) continue
    const isOwn = layer.identity === identity && layer.place === placeOf(spec)
    // Without a seed nobody tells the guest that it is another machine.
    if ((!isOwn && spec.cloudInit === undefined) || !(await isWhole(engine, layer))) continue
    return {isOwn, ...(await foundLayer(engine, layer, steps.slice(0, index + 1)))}
  }
  return undefined
}

/** Whether all that it reads through to is there. */
const isWhole = async ({store}: Engine, {below, image}: Layer): Promise<boolean> => {
  const paths = [image, ...below.map((id) => layerFile(store, id))]
  return (await Promise.all(paths.map(pathExists))).every(Boolean)
}

const foundLayer = async ({store}: Engine, layer: Layer, steps: readonly DeclaredStep[]): Promise<Omit<FoundLayer, 'isOwn'>> => {
  const files = new Map((await listLayers(store)).map(({id, bytes}) => [id, bytes]))
  const bytes = [layer.id, ...layer.below].reduce((sum, id) => sum + (files.get(id) ?? 0), 0)
  const saved = steps.flatMap((step, index) => (isSaved(step) ? [layer.steps[index]?.durationMs] : []))
  const known = saved.filter((one) => one !== undefined)
  return {
    layer,
    step: steps.length,
    bytes,
    ...(known.length === saved.length && {savedMs: known.reduce((sum, one) => sum + one, 0)}),
    journal: {
      schema: 2,
      restarted: true,
      steps: steps.map(({hash, type, title, facts}, index) => {
        const {durationMs} = layer.steps[index] ?? {}
        return {hash, type, title, facts, state: 'done', layer: layer.id, ...(durationMs !== undefined && {durationMs})}
      }),
    },
  }
}

/** `starts from the layer after step 8 (2.10 GB, saves about 6 min)`. */
export const describeLayer = ({step, bytes, savedMs}: Pick<FoundLayer, 'step' | 'bytes' | 'savedMs'>): string => {
  const saved = savedMs === undefined ? ', nobody knows what that saves' : savedMs >= 1000 ? `, saves about ${roughly(savedMs)}` : ''
  return `starts from the layer after step ${step} (${formatSize(bytes)}${saved})`
}

const roughly = (milliseconds: number): string =>
  milliseconds < 60_000 ? formatDuration(Math.round(milliseconds / 1000) * 1000) : `${Math.round(milliseconds / 60_000)} min`

/** The layer as the record of a VM has it. */
export const diskOn = ({store}: Engine, {layer: {id}}: FoundLayer, {spec, base}: Pick<Vm, 'spec' | 'base'>): DiskLayer => ({
  id,
  path: layerFile(store, id),
  virtualSizeBytes: spec.diskBytes ?? base.virtualSizeBytes,
})
