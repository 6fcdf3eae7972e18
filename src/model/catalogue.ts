/** Processors of guests, by the names that the kernel has for them. */
export const architectures = ['x86_64', 'aarch64', 'riscv64', 'ppc64le', 's390x'] as const

export type Architecture = (typeof architectures)[number]

export type Firmware = 'bios' | 'uefi'

/** What reads the seed in the guest. vmctl speaks to cloud-init; the others understand part of it, or nothing. */
export const seedReaders = ['cloud-init', 'nuageinit', 'metadata-agent', 'ignition'] as const

export type SeedReader = (typeof seedReaders)[number]

export type InitSystem = 'systemd' | 'openrc' | 'rc' | 'smf'

/** A folder or file at the publisher's that names what there is; the newest match counts, and its named groups become words. */
export interface CatalogueIndex {
  readonly at: string
  /** Regular expression with named groups. */
  readonly find: string
}

/**
 * Where the digest and the immutable file of an image are found. Paths start at the origin; `{word}` stands for a word of the
 * release, `{tag}`, `{arch}`, `{firmware}`, or a named group of an earlier match.
 */
export type CatalogueLayout =
  | {
      readonly kind: 'list'
      readonly index?: CatalogueIndex
      /** List of checksums, or a single digest. */
      readonly list: string
      /** Which file of the list it is, as a regular expression; the newest match is the word `{file}`. */
      readonly pick?: string
      readonly image: string
    }
  /** Debian: a JSON beside each image names the dated file and its digest. */
  | {readonly kind: 'debian-json'; readonly at: string; readonly folder: string}
  /** Oracle: a JSON per release and processor. */
  | {readonly kind: 'oracle-json'; readonly at: string}

/** How the publisher signs the list of checksums. */
export type CatalogueSignature =
  | {readonly form: 'detached'; readonly at: string; readonly keyUrl: string}
  /** The list is in the signed message. */
  | {readonly form: 'clearsigned'; readonly keyUrl: string}
  /** Beside the list, by minisign; its keys are short enough to be pinned themselves. */
  | {readonly form: 'minisign'; readonly at: string}

export interface CatalogueRelease {
  readonly tag: string
  /** Other tags for the same: code names. */
  readonly names?: readonly string[]
  /** The last day on which the publisher maintains it, `YYYY-MM-DD`; absent when that is not known. */
  readonly ends?: string
  readonly words?: Readonly<Record<string, string>>
  readonly architectures?: readonly Architecture[]
  /** Its own ones, where they are not those of the publisher. */
  readonly origin?: string
  readonly user?: string
  readonly keys?: readonly string[]
  /** What x86-64 processors must have. */
  readonly cpuLevel?: CpuLevel
}

export type CpuLevel = 'x86-64-v3'

/** One publisher of images: where they are, whom they are made for, and who vouches for them. */
export interface Publisher {
  readonly name: string
  readonly title: string
  /** `https://…`, without a slash at the end. */
  readonly origin: string
  readonly user: string
  readonly init: InitSystem
  readonly seedReader: SeedReader
  /** The publisher's words for the processors; those that are absent are not published. */
  readonly architectures: Readonly<Partial<Record<Architecture, string>>>
  /** What x86-64 images boot with; other processors boot with UEFI. Both when absent. */
  readonly firmware?: Firmware
  /** Whether each kind of firmware has an image of its own, so that `{firmware}` is a word of the layout. */
  readonly imagePerFirmware?: boolean
  readonly layout: CatalogueLayout
  readonly signature?: CatalogueSignature
  /** Fingerprints of the OpenPGP keys that may sign, upper-case hex; public keys of minisign. */
  readonly keys?: readonly string[]
  /** The first is what the name alone means. */
  readonly releases: readonly CatalogueRelease[]
}

/** A place that has the same files as the publisher, below the same paths; or what a registry has. */
export interface Mirror {
  /** Name of a publisher, or of a registry. */
  readonly publisher: string
  readonly origin: string
  /** Whether lists and signatures are taken from there too, for a network without a way to the publisher. */
  readonly isComplete: boolean
}

/** An image that a name stands for. */
export interface CatalogueImage {
  /** `debian:12`: the name by which it is recorded, whatever alias was written. */
  readonly name: string
  readonly publisher: Publisher
  readonly release: CatalogueRelease
}

/** The image of a name such as `debian`, `debian:12` or `debian:bookworm`; undefined when it is none. */
export const findCatalogueImage = (catalogue: readonly Publisher[], name: string): CatalogueImage | undefined => {
  const [publisherName, tag, ...rest] = name.split(':')
  const publisher = catalogue.find((one) => one.name === publisherName)
  if (!publisher || rest.length > 0) return undefined
  const release =
    publisher.releases.find((one) => one.tag === tag || one.names?.includes(tag ?? '')) ??
    (tag === undefined || tag === 'latest' ? publisher.releases[0] : undefined)
  return release && {name: `${publisher.name}:${release.tag}`, publisher, release}
}

/** Whether the publisher has the release for guests with a processor. */
export const isPublishedFor = ({publisher, release}: CatalogueImage, architecture: Architecture): boolean =>
  publisher.architectures[architecture] !== undefined && (release.architectures?.includes(architecture) ?? true)

/** Every name, code names included, for messages and suggestions. */
export const catalogueNames = (catalogue: readonly Publisher[]): readonly string[] =>
  catalogue.flatMap(({name, releases}) => releases.flatMap(({tag, names = []}) => [tag, ...names].map((one) => `${name}:${one}`)))

/** A catalogue with further publishers; one of the same name replaces the earlier one. */
export const mergeCatalogues = (...catalogues: readonly (readonly Publisher[])[]): readonly Publisher[] => [
  ...new Map(catalogues.flat().map((publisher) => [publisher.name, publisher])).values(),
]

/** Why vmctl cannot make a VM from an image, although it can fetch it; undefined when it can. */
export const seedProblem = ({publisher}: CatalogueImage): string | undefined =>
  publisher.seedReader === 'ignition' ? `${publisher.title} is configured by Ignition, which vmctl does not write` : undefined

/**
 * What a VM is told to start from when it names an image: the name of the release, whatever alias was written, and what follows from it.
 * @param firmware what the VM boots with
 */
export const referenceOf = (image: CatalogueImage, firmware: Firmware = 'bios'): NamedReference => {
  const {name, publisher, release} = image
  const {init, imagePerFirmware} = publisher
  return {
    kind: 'name',
    source: name,
    user: release.user ?? publisher.user,
    os: init === 'openrc' ? init : 'systemd',
    ...(imagePerFirmware && {firmware}),
    ...(release.cpuLevel && {cpuLevel: release.cpuLevel}),
  }
}

/** A reference to an image by name, as plain data. */
export interface NamedReference {
  readonly kind: 'name'
  readonly source: string
  readonly user: string
  readonly os: 'systemd' | 'openrc'
  readonly firmware?: Firmware
  readonly cpuLevel?: CpuLevel
}

/** Whether the maintenance of a release has ended on a day, `YYYY-MM-DD`. */
export const hasEnded = ({ends}: CatalogueRelease, today: string): boolean => ends !== undefined && ends < today

/** How far an image can be trusted, as told and recorded. */
export type Trust =
  /** A list of checksums with it was signed by a key that was known beforehand by its fingerprint, or itself (minisign). */
  | {readonly level: 'signed'; readonly by: string; readonly fingerprint: string}
  /** Its digest came over https from the publisher, or was declared by the user. */
  | {readonly level: 'checksum'}
  /** Nothing was compared. */
  | {readonly level: 'none'}

/** From the least on. */
export const trustLevels = ['none', 'checksum', 'signed'] as const satisfies readonly Trust['level'][]

/** Whether the text of `image` is a path although nothing may be there: it has the looks of one, and is no name. */
export const looksLikeImagePath = (text: string): boolean =>
  /^[~.]|\/|\.(?:qcow2|raw|img|vmdk|vdi|vhdx|iso|zst|zstd|gz|xz|bz2)$/i.test(text)

/** Whether an image is one of Ubuntu, whose guests configure their networks by netplan: by its user, or by the name of its file. */
export const usesNetplan = ({user, source}: {readonly user?: string; readonly source: string}): boolean =>
  user === 'ubuntu' || /(?:^|[/_.-])ubuntu|cloud-images\.ubuntu\.com/i.test(source)
