import {digestOf} from './images.ts'
import type {ImageServer, ServedFile} from './image-server.ts'

export interface Blob {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
  readonly annotations?: Readonly<Record<string, string>>
}

const manifestType = 'application/vnd.oci.image.manifest.v1+json'

/** A repository on a server of files, with whatever faults those may have: to pull from. */
export const fakeRepository = (server: ImageServer, repository = 'team/disk') => {
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
    pinned: (digest: string): string => `oci://${host}/${repository}@${digest}`,
    putBlob,
    putManifest,
    /** An artifact of these layers. */
    putArtifact(layers: readonly Blob[], more: object = {}, served: Partial<ServedFile> = {}): Blob {
      const config = putBlob(Buffer.from('{}'), 'application/vnd.oci.empty.v1+json')
      return putManifest({schemaVersion: 2, mediaType: manifestType, config, layers, ...more}, served)
    },
    /** A container image of these layers. */
    putContainer(layers: readonly Blob[], config: object = {architecture: 'amd64', os: 'linux', config: {}}): Blob {
      const blob = putBlob(Buffer.from(JSON.stringify(config)), 'application/vnd.docker.container.image.v1+json')
      return putManifest({schemaVersion: 2, mediaType: 'application/vnd.docker.distribution.manifest.v2+json', config: blob, layers})
    },
    requestsOf: (part: string) => server.requests.filter(({path}) => path.startsWith(`/v2/${repository}/${part}`)),
  }
}
