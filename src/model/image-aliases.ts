/** A well-known cloud image: where its publisher has it, and whom it is made for. */
export interface ImageAlias {
  readonly url: string
  /** A file of checksums that lists the image. */
  readonly checksumUrl: string
  /** The user of the publisher's documentation. */
  readonly user: string
  readonly os: 'systemd' | 'openrc'
}

/** The processors of guests by the names that Node has for them, in the words of the publishers. */
const machines = {
  x64: {debian: 'amd64', gnu: 'x86_64'},
  arm64: {debian: 'arm64', gnu: 'aarch64'},
} as const

type Machine = (typeof machines)[keyof typeof machines]

type Source = (machine: Machine) => ImageAlias

const debian =
  (release: string, version: number): Source =>
  ({debian: machine}) => {
    const folder = `https://cloud.debian.org/images/cloud/${release}/latest`
    return {url: `${folder}/debian-${version}-generic-${machine}.qcow2`, checksumUrl: `${folder}/SHA512SUMS`, user: 'debian', os: 'systemd'}
  }

const ubuntu =
  (release: string): Source =>
  ({debian: machine}) => {
    const folder = `https://cloud-images.ubuntu.com/${release}/current`
    return {url: `${folder}/${release}-server-cloudimg-${machine}.img`, checksumUrl: `${folder}/SHA256SUMS`, user: 'ubuntu', os: 'systemd'}
  }

const fedora =
  (version: number, compose: string): Source =>
  ({gnu: machine}) => {
    const folder = `https://download.fedoraproject.org/pub/fedora/linux/releases/${version}/Cloud/${machine}/images`
    return {
      url: `${folder}/Fedora-Cloud-Base-Generic-${version}-${compose}.${machine}.qcow2`,
      checksumUrl: `${folder}/Fedora-Cloud-${version}-${compose}-${machine}-CHECKSUM`,
      user: 'fedora',
      os: 'systemd',
    }
  }

const alpine =
  (version: string, flavour: 'generic' | 'nocloud'): Source =>
  ({gnu: machine}) => {
    const branch = version.split('.').slice(0, 2).join('.')
    const firmware = machine === 'x86_64' ? 'bios' : 'uefi'
    const folder = `https://dl-cdn.alpinelinux.org/alpine/v${branch}/releases/cloud`
    const url = `${folder}/${flavour}_alpine-${version}-${machine}-${firmware}-cloudinit-r0.qcow2`
    return {url, checksumUrl: `${url}.sha512`, user: 'alpine', os: 'openrc'}
  }

const arch: Source = ({gnu: machine}) => {
  const url = `https://geo.mirror.pkgbuild.com/images/latest/Arch-Linux-${machine}-cloudimg.qcow2`
  return {url, checksumUrl: `${url}.SHA256`, user: 'arch', os: 'systemd'}
}

const rocky =
  (version: number): Source =>
  ({gnu: machine}) => {
    const folder = `https://dl.rockylinux.org/pub/rocky/${version}/images/${machine}`
    const url = `${folder}/Rocky-${version}-GenericCloud-Base.latest.${machine}.qcow2`
    return {url, checksumUrl: `${url}.CHECKSUM`, user: 'rocky', os: 'systemd'}
  }

const almalinux =
  (version: number): Source =>
  ({gnu: machine}) => {
    const folder = `https://repo.almalinux.org/almalinux/${version}/cloud/${machine}/images`
    const url = `${folder}/AlmaLinux-${version}-GenericCloud-latest.${machine}.qcow2`
    return {url, checksumUrl: `${folder}/CHECKSUM`, user: 'almalinux', os: 'systemd'}
  }

/**
 * Names of images, newest first for each distribution; the first of them is also the distribution's name alone.
 *
 * Sources: cloud.debian.org/images/cloud, cloud-images.ubuntu.com, fedoraproject.org/cloud/download,
 * alpinelinux.org/cloud (cloud-init, NoCloud, called "generic" since 3.24), gitlab.archlinux.org/archlinux/arch-boxes,
 * rockylinux.org/download, wiki.almalinux.org/cloud/Generic-cloud. Fedora and Alpine name each build, so theirs are those
 * that were current in 2026; the others keep a URL for the newest one.
 */
const sources: Readonly<Record<string, Source>> = {
  'debian:13': debian('trixie', 13),
  'debian:trixie': debian('trixie', 13),
  'debian:12': debian('bookworm', 12),
  'debian:bookworm': debian('bookworm', 12),
  'debian:11': debian('bullseye', 11),
  'debian:bullseye': debian('bullseye', 11),
  'ubuntu:noble': ubuntu('noble'),
  'ubuntu:24.04': ubuntu('noble'),
  'ubuntu:jammy': ubuntu('jammy'),
  'ubuntu:22.04': ubuntu('jammy'),
  'fedora:44': fedora(44, '1.7'),
  'fedora:43': fedora(43, '1.6'),
  'fedora:42': fedora(42, '1.1'),
  'alpine:3.24': alpine('3.24.1', 'generic'),
  'alpine:3.23': alpine('3.23.4', 'nocloud'),
  'alpine:3.22': alpine('3.22.4', 'nocloud'),
  'arch:latest': arch,
  'rocky:10': rocky(10),
  'rocky:9': rocky(9),
  'almalinux:10': almalinux(10),
  'almalinux:9': almalinux(9),
}

/** `debian` and `debian:latest` for the newest Debian, and so on. */
const named: ReadonlyMap<string, Source> = new Map(
  Object.entries(sources)
    .toReversed()
    .flatMap(([name, source]) => {
      const distribution = name.split(':')[0] ?? ''
      return [[name, source] as const, [distribution, source] as const, [`${distribution}:latest`, source] as const]
    }),
)

/**
 * The image of that name for guests with a processor (`x64`, `arm64`: what the backend runs, whatever the host is); undefined when the
 * name is none, or nobody publishes it for them.
 */
export const findAlias = (name: string, processor = 'x64'): ImageAlias | undefined =>
  processor === 'x64' || processor === 'arm64' ? named.get(name)?.(machines[processor]) : undefined

/** Whether the text of `image` is a path although nothing may be there: it has the looks of one, and is no alias. */
export const looksLikeImagePath = (text: string): boolean =>
  /^[~.]|\/|\.(?:qcow2|raw|img|vmdk|vdi|vhdx|iso|zst|zstd|gz|xz|bz2)$/i.test(text)

/** The names, for messages. */
export const imageAliases = (): readonly string[] => Object.keys(sources)

/** Whether an image is one of Ubuntu, whose guests configure their networks by netplan: a well-known one, or by the name of its file. */
export const usesNetplan = ({user, source}: {readonly user?: string; readonly source: string}): boolean =>
  user === 'ubuntu' || /(?:^|[/_.-])ubuntu|cloud-images\.ubuntu\.com/i.test(source)
