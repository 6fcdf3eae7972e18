/** What a VM can be packaged as, with the ending of its file. */
export const packageEndings = {
  qcow2: '.qcow2',
  raw: '.raw',
  'raw.zst': '.raw.zst',
  vmdk: '.vmdk',
  box: '.box',
  incus: '.qcow2',
} as const

export type PackageFormat = keyof typeof packageEndings

export const packageFormats = Object.keys(packageEndings) as readonly PackageFormat[]

/** The format that the name of a file says; undefined when it says none. */
export const formatOfName = (path: string): PackageFormat | undefined =>
  // `.raw.zst` comes before what is shorter, and an image for Incus is asked for by its name.
  (['raw.zst', 'qcow2', 'raw', 'vmdk', 'box'] as const).find((format) => path.toLowerCase().endsWith(packageEndings[format]))

/** What an image was made from, as it is written beside it or into it. */
export interface PackageFacts {
  readonly schema: 1
  /** The VM. */
  readonly name: string
  /** A name of the catalogue, a URL without secrets, or the name of a local file. */
  readonly image: string
  /** sha256 of the base image, when it is in the cache of images. */
  readonly imageSha256?: string
  readonly virtualSizeBytes: number
  readonly architecture: string
  readonly firmware: 'bios' | 'uefi'
  readonly secureBoot?: true
  /** Who logged in to the VM; the account is in the image. */
  readonly user: string
  /** Whether identity, keys and traces were removed. */
  readonly cleaned: boolean
  /** RFC 3339. */
  readonly createdAt: string
  /** Version of vmctl. */
  readonly vmctl: string
}
