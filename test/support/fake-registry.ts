import {digestOf} from './images.ts'
import type {ImageServer, SeenRequest, ServedFile} from './image-server.ts'

export interface Blob {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
  readonly annotations?: Readonly<Record<string, string>>
}

const manifestType = 'application/vnd.oci.image.manifest.v1+json'

export interface FakeRepository {
  readonly url: string
  pinned(digest: string): string
  putBlob(content: Buffer, mediaType: string, more?: Partial<ServedFile>): Blob
  putManifest(manifest: object, served?: Partial<ServedFile> & {readonly tag?: string}): Blob
  /** An artifact of these layers. */
  putArtifact(layers: readonly Blob[], more?: object, served?: Partial<ServedFile>): Blob
  /** A container image of these layers. */
  putContainer(layers: readonly Blob[], config?: object): Blob
  /** Those for what is below a path of the repository. */
  requestsOf(part: string): readonly SeenRequest[]
}

/** A repository on a server of files, with whatever faults those may have: to pull from. */
export const fakeRepository = (server: ImageServer, repository = 'team/disk'): FakeRepository => {
  const host = server.origin.replace('http://', '')
  const putBlob = (content: Buffer, mediaType: string, more: Partial<ServedFile> = {}): Blob => {
    const digest = `sha256:${digestOf(content)}`
    server.files.set(`/v2/${repository}/blobs/${digest}`, {content, ...more})
    return {mediaType, digest, size: content.length}
  }
  const putManifest = (manifest: object, {tag = '1', ...more}: Partial<ServedFile> & {readonly tag?: string} = {}): Blob => {
    const content = Buffer.from(JSON.stringify(manifest))
    const blob = putBlob(content, manifestType)
    for (const name of [tag, blob.digest]) server.files.set(`/v2/${repository}/manifests/${name}`, {content, ...more})
    return blob
  }
  return {
    url: `oci://${host}/${repository}:1`,
    pinned: (digest) => `oci://${host}/${repository}@${digest}`,
    putBlob,
    putManifest,
    putArtifact(layers, more = {}, served = {}) {
      const config = putBlob(Buffer.from('{}'), 'application/vnd.oci.empty.v1+json')
      return putManifest({schemaVersion: 2, mediaType: manifestType, config, layers, ...more}, served)
    },
    putContainer(layers, config = {architecture: 'amd64', os: 'linux', config: {}}) {
      const blob = putBlob(Buffer.from(JSON.stringify(config)), 'application/vnd.docker.container.image.v1+json')
      return putManifest({schemaVersion: 2, mediaType: 'application/vnd.docker.distribution.manifest.v2+json', config: blob, layers})
    },
    requestsOf: (part) => server.requests.filter(({path}) => path.startsWith(`/v2/${repository}/${part}`)),
  }
}
