import {type Architecture, architectures} from '../../model/catalogue.ts'

export const mediaTypes = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  /** The configuration of what has none: two bytes, `{}`. */
  empty: 'application/vnd.oci.empty.v1+json',
  /** What vmctl pushes. */
  disk: 'application/vnd.vmctl.disk.v1',
  qcow2Zstd: 'application/vnd.vmctl.disk.qcow2.v1+zstd',
} as const

/** All four, or some registries deny that there is anything. */
export const acceptedManifests = [mediaTypes.index, mediaTypes.manifest, mediaTypes.dockerList, mediaTypes.dockerManifest].join(', ')

export const annotations = {
  title: 'org.opencontainers.image.title',
  created: 'org.opencontainers.image.created',
  /** Bytes that the guest sees. */
  virtualSize: 'vnd.vmctl.disk.virtual-size',
  /** Of the disk before it was compressed. */
  sha256: 'vnd.vmctl.disk.sha256',
  architecture: 'vnd.vmctl.disk.architecture',
} as const

/** What Go, and so the world of containers, calls processors. */
export const platformNames: Readonly<Record<Architecture, string>> = {
  x86_64: 'amd64',
  aarch64: 'arm64',
  riscv64: 'riscv64',
  ppc64le: 'ppc64le',
  s390x: 's390x',
}

/** The processor of a platform; Podman writes the names of the kernel. What vmctl has no name for stays as it is. */
export const architectureNamed = (platform: string | undefined): string | undefined =>
  architectures.find((one) => platformNames[one] === platform) ?? platform
