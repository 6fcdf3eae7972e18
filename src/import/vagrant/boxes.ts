import {catalogueNames, findCatalogueImage} from '../../model/catalogue.ts'
import {builtInCatalogue} from '../../model/catalogue-entries.ts'

/** Names of releases whose number the boxes of some publishers have instead. */
const releases: Readonly<Record<string, string>> = {
  ...{trusty: '14.04', xenial: '16.04', bionic: '18.04', focal: '20.04', jammy: '22.04', noble: '24.04', plucky: '25.04'},
  ...{jessie: '8', stretch: '9', buster: '10', bullseye: '11', bookworm: '12', trixie: '13'},
}

const distributions: Readonly<Record<string, string>> = {
  ...{ubuntu: 'ubuntu', debian: 'debian', fedora: 'fedora', alpine: 'alpine', arch: 'arch', archlinux: 'arch'},
  ...{alma: 'almalinux', almalinux: 'almalinux', rocky: 'rocky', rockylinux: 'rocky', centos: 'centos', opensuse: 'opensuse'},
}

/** Publishers whose boxes are a distribution as it is. */
const publishers: ReadonlySet<string> = new Set([
  ...['ubuntu', 'debian', 'fedora', 'almalinux', 'rockylinux', 'rocky', 'archlinux', 'alpine', 'alpinelinux', 'centos', 'opensuse'],
  ...['generic', 'bento', 'roboxes', 'boxomatic', 'cloud-image', 'alvistack', 'hashicorp', 'generic-x64', 'boxen'],
])

/** Parts of a name that change nothing: processors, flavours of the same system, dates. */
const plainParts = /^(?:64|x64|amd64|x86_64|arm64|aarch64|cloud|base|server|contrib|vagrant|stream|linux|minimal|standard|\d{6,8})$/

/**
 * The image of the system that a box has: `debian/bookworm64` is `debian:12`.
 * @returns the name of an image that vmctl knows, or undefined
 */
export const imageOfBox = (box: string): string | undefined => {
  const [publisher = '', name, ...more] = box.toLowerCase().split('/')
  if (name === undefined || more.length > 0 || !publishers.has(publisher)) return undefined
  const parts = name.split(/[-_]|(?<=[a-z])(?=\d)|(?<=\d)(?=[a-z])|\.(?=x86)/).filter((part) => part !== '')
  let distribution = distributions[publisher]
  let version: string | undefined
  for (const part of joinedParts(parts)) {
    if (distributions[part] !== undefined) distribution = distributions[part]
    else if (releases[part] !== undefined) version = releases[part]
    else if (plainParts.test(part)) continue
    else if (/^\d+(?:\.\d+)*$/.test(part) && version === undefined) version = part
    else return undefined
  }
  return distribution === undefined ? undefined : aliasOf(distribution, version)
}

/** `x86`, `64` and `x`, `86`, `64` are one part. */
const joinedParts = (parts: readonly string[]): readonly string[] =>
  parts
    .join('-')
    .replaceAll(/x-?86(?:-|_)?64/g, 'x86_64')
    .replaceAll(/amd-64/g, 'amd64')
    .replaceAll(/arm-64/g, 'arm64')
    .replaceAll(/aarch-64/g, 'aarch64')
    .split('-')

const aliasOf = (distribution: string, version: string | undefined): string | undefined => {
  if (distribution === 'arch') return 'arch:latest'
  if (version === undefined) return undefined
  const dotted = {ubuntu: /^(\d\d)(\d\d)$/, alpine: /^(\d)(\d\d)$/}[distribution]?.exec(version)
  const major = version.split('.')[0] ?? version
  const release =
    distribution === 'ubuntu'
      ? Object.entries(releases).find(([, number]) => number === (dotted ? `${dotted[1]}.${dotted[2]}` : version))?.[0]
      : undefined
  if (release !== undefined && isKnown(`ubuntu:${release}`)) return `ubuntu:${release}`
  const wanted = dotted
    ? [`${dotted[1]}.${dotted[2]}`]
    : [version, ...(distribution === 'ubuntu' || distribution === 'alpine' ? [] : [major])]
  return wanted.map((one) => `${distribution}:${one}`).find(isKnown)
}

const isKnown = (name: string): boolean => findCatalogueImage(builtInCatalogue, name) !== undefined

/** Images of the same distribution, for a message; some of all when there are none. */
export const similarImages = (box: string): readonly string[] => {
  const name = box.toLowerCase()
  const release = Object.keys(releases).find((word) => name.includes(word))
  const distribution =
    Object.entries(distributions).find(([word]) => name.includes(word))?.[1] ??
    (release && (Number(releases[release]) > 13.5 ? 'ubuntu' : 'debian'))
  const same = catalogueNames(builtInCatalogue).filter((one) => one.startsWith(`${distribution}:`) && /\d/.test(one))
  return same.length > 0 ? same : ['debian:12', 'ubuntu:noble']
}
