import {createHash} from 'node:crypto'

import type {Architecture} from '../../model/catalogue.ts'
import {annotations, mediaTypes, platformNames} from './media-types.ts'

/** A disk that is ready to be sent: one blob, and what is to be known about it. */
export interface PackedDisk {
  readonly blob: {
    /** Lower-case hex. */
    readonly sha256: string
    readonly sizeBytes: number
    readonly mediaType: string
  }
  /** File name under which other programs write it: `debian.qcow2.zst`. */
  readonly title: string
  /** What the guest sees. */
  readonly virtualSizeBytes: number
  /** Of the disk before it was compressed, lower-case hex. */
  readonly sha256: string
  readonly architecture: Architecture
  /** RFC 3339. */
  readonly created: string
}

/** A document of a registry, as its bytes, by whose digest it is known. */
export interface OciDocument {
  readonly mediaType: string
  readonly content: Buffer
  /** `sha256:…` */
  readonly digest: string
}

/** The configuration of an artifact that has none. */
export const emptyConfig = Buffer.from('{}')

const digestOf = (content: Buffer): string => `sha256:${createHash('sha256').update(content).digest('hex')}`

const documentOf = (mediaType: string, value: unknown): OciDocument => {
  const content = Buffer.from(JSON.stringify(value))
  return {mediaType, content, digest: digestOf(content)}
}

/** The manifest of a disk; the same disk has the same one. */
export const diskManifest = ({blob, title, virtualSizeBytes, sha256, architecture, created}: PackedDisk): OciDocument =>
  documentOf(mediaTypes.manifest, {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    artifactType: mediaTypes.disk,
    config: {mediaType: mediaTypes.empty, digest: digestOf(emptyConfig), size: emptyConfig.length, data: emptyConfig.toString('base64')},
    layers: [
      {
        mediaType: blob.mediaType,
        digest: `sha256:${blob.sha256}`,
        size: blob.sizeBytes,
        annotations: {[annotations.title]: title},
      },
    ],
    annotations: {
      [annotations.title]: title,
      [annotations.created]: created,
      [annotations.virtualSize]: `${virtualSizeBytes}`,
      [annotations.sha256]: sha256,
      [annotations.architecture]: architecture,
    },
  })

/** A manifest in an index. */
export const platformEntry = (
  {mediaType, digest, content}: OciDocument,
  architecture: Architecture,
): Readonly<Record<string, unknown>> => ({
  mediaType,
  artifactType: mediaTypes.disk,
  digest,
  size: content.length,
  platform: {architecture: platformNames[architecture], os: 'linux'},
})

/**
 * An index of disks for several processors: what was there already stays as it is, but for the entry of the same processor.
 * @param earlier the index that the tag has, as parsed; or the entries of a new one
 */
export const diskIndex = (
  earlier: Readonly<Record<string, unknown>>,
  entry: Readonly<Record<string, unknown>>,
  architecture: Architecture,
): OciDocument => {
  const {manifests = [], mediaType: earlierType} = earlier as {
    manifests?: readonly {platform?: {architecture?: unknown}}[]
    mediaType?: unknown
  }
  const mediaType = earlierType === mediaTypes.dockerList ? mediaTypes.dockerList : mediaTypes.index
  const others = manifests.filter(({platform}) => platform?.architecture !== platformNames[architecture])
  return documentOf(mediaType, {schemaVersion: 2, ...earlier, mediaType, manifests: [...others, entry]})
}
