import type {Architecture} from '../../model/catalogue.ts'
import {VmctlError} from '../../model/errors.ts'
import {type Descriptor, type Index, type Manifest, notADisk, type PlatformDescriptor, quotedType} from './document.ts'
import {annotations, architectureNamed, mediaTypes} from './media-types.ts'

/** The blob that the disk is in. */
export interface ChosenLayer {
  readonly layer: Descriptor
  /** The disk as it is, perhaps compressed; or a file of an archive. */
  readonly form: 'file' | 'archive'
}

/**
 * The manifest for a processor. Podman's indexes have a disk for each hypervisor too, and say which.
 * @throws VmctlError `vmctl::image::not_found`
 */
export const chooseManifest = ({manifests}: Index, architecture: Architecture, shown: string): PlatformDescriptor => {
  const found = manifests.find(
    ({platform, annotations: {disktype = 'qemu'}}) => architectureNamed(platform?.architecture) === architecture && disktype === 'qemu',
  )
  if (found) return found
  const has = [...new Set(manifests.flatMap(({platform}) => platform?.architecture ?? []))].filter((name) => name !== 'unknown')
  throw new VmctlError('vmctl::image::not_found', `${shown} has no disk for ${architecture}.`, {
    help: has.length === 0 ? 'It does not say for which processors it is.' : `It has ${has.map(quotedType).join(', ')}.`,
    details: {source: shown, architecture},
  })
}

const diskTypes = new Set([
  mediaTypes.qcow2Zstd,
  'application/vnd.vmctl.disk.qcow2.v1',
  'application/vnd.cloudnebula.qcow2.layer.v1',
  'application/x-qemu-disk',
  'application/vnd.qemu.disk',
])

const archiveType = /^application\/vnd\.(?:docker\.image\.rootfs\.diff\.tar(?:\.gzip)?|oci\.image\.layer\.v1\.tar(?:\+(?:gzip|zstd))?)$/

const imageConfigs = new Set(['application/vnd.oci.image.config.v1+json', 'application/vnd.docker.container.image.v1+json'])

const diskTitle = /\.(?:qcow2|img|raw|vmdk|vdi|vhdx)(?:\.(?:zst|zstd|gz|xz|bz2))?$/i

/**
 * The layer of a manifest that is a disk, or may hold one.
 * @throws VmctlError `vmctl::image::refused`, which says what it is instead
 */
export const chooseLayer = (manifest: Manifest, shown: string): ChosenLayer => {
  const {layers, config} = manifest
  const all = [config, ...layers].map(({mediaType}) => mediaType)
  if (all.some((type) => type.startsWith('application/vnd.cirruslabs.tart.')))
    throw notADisk(shown, 'a virtual machine for Tart, whose disks only macOS can unpack')
  if (all.some((type) => type.startsWith('application/vnd.cncf.helm.'))) throw notADisk(shown, 'a Helm chart')
  const typed = layers.filter(({mediaType}) => diskTypes.has(mediaType))
  if (typed.length > 0) return {layer: only(typed, shown), form: 'file'}
  if (imageConfigs.has(config.mediaType) && layers.some(({mediaType}) => archiveType.test(mediaType))) {
    const [layer] = layers
    if (layer && layers.length === 1) return {layer, form: 'archive'}
    throw notADisk(shown, `an ordinary container image of ${layers.length} layers; a container disk has one, with the disk in it`)
  }
  const titled = layers.filter(({annotations: {[annotations.title]: title = ''}}) => diskTitle.test(title))
  if (titled.length > 0) return {layer: only(titled, shown), form: 'file'}
  const [sole] = layers
  if (sole?.mediaType === 'application/octet-stream' && layers.length === 1) return {layer: sole, form: 'file'}
  throw notADisk(shown, describe(manifest))
}

const only = (layers: readonly Descriptor[], shown: string): Descriptor => {
  const [layer] = layers
  if (layer && layers.length === 1) return layer
  throw notADisk(shown, `an artifact of ${layers.length} disks, and which one is meant is not said`)
}

const describe = ({artifactType, config, layers}: Manifest): string => {
  const kind = artifactType ?? config.mediaType
  const parts = [...new Set(layers.map(({mediaType}) => mediaType))].slice(0, 3).map(quotedType)
  return `an artifact of the type ${quotedType(kind)}${parts.length === 0 ? ' without any content' : `, made of ${parts.join(', ')}`}`
}
