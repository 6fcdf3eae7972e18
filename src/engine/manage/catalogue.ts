import {
  architectures,
  type CatalogueImage,
  findCatalogueImage,
  hasEnded,
  isPublishedFor,
  type Publisher,
  seedProblem,
} from '../../model/catalogue.ts'
import type {Engine} from '../engine.ts'

/** One release of the catalogue; the `--json` shape of an element of `vmctl image search`. */
export interface AvailableImage {
  readonly name: string
  /** Other names for the same. */
  readonly aliases: readonly string[]
  readonly title: string
  readonly architectures: readonly string[]
  /** What x86-64 images boot with. */
  readonly firmware: readonly ('bios' | 'uefi')[]
  readonly user: string
  /** Init system of the guest. */
  readonly init: string
  /** What reads the seed in the guest: `cloud-init`, `nuageinit`, … */
  readonly seedReader: string
  /** Least level of x86-64 processors, when it is more than the first one. */
  readonly cpuLevel?: string
  /** How far it can be trusted once it was fetched. */
  readonly trust: 'signed' | 'checksum' | 'none'
  /** Fingerprints of the keys that may sign its list. */
  readonly keys?: readonly string[]
  /** `YYYY-MM-DD`. */
  readonly ends?: string
  readonly hasEnded: boolean
  /** Why no VM can be made from it. */
  readonly problem?: string
}

/** The images that have a name, those whose name, alias or title holds a text. */
export const searchCatalogue = async (engine: Engine, text = ''): Promise<readonly AvailableImage[]> => {
  const {publishers} = await engine.catalogue()
  const all = publishers.flatMap((publisher) =>
    publisher.releases.map((release, index) => describe(publisher, {release, isDefault: index === 0})),
  )
  const wanted = text.toLowerCase()
  // A name that means one image is that image: `debian:1` is none, and finds several.
  const exact = wanted.includes(':') ? findCatalogueImage(publishers, wanted)?.name : undefined
  if (exact !== undefined) return all.filter(({name}) => name === exact)
  return all.filter(({name, aliases, title}) => [name, ...aliases, title].some((one) => one.toLowerCase().includes(wanted)))
}

const trustOf = ({publisher, release}: CatalogueImage): Pick<AvailableImage, 'trust' | 'keys'> => {
  const keys = publisher.signature && (release.keys ?? publisher.keys)
  if (keys) return {trust: 'signed', keys}
  return {trust: (release.origin ?? publisher.origin).startsWith('https:') ? 'checksum' : 'none'}
}

type Described = {readonly release: Publisher['releases'][number]; readonly isDefault: boolean}

const describe = (publisher: Publisher, {release, isDefault}: Described): AvailableImage => {
  const image = {name: `${publisher.name}:${release.tag}`, publisher, release}
  const problem = seedProblem(image)
  return {
    name: image.name,
    aliases: [...(isDefault ? [publisher.name] : []), ...(release.names ?? []).map((name) => `${publisher.name}:${name}`)],
    title: publisher.title,
    architectures: architectures.filter((architecture) => isPublishedFor(image, architecture)),
    firmware: publisher.firmware ? [publisher.firmware] : ['bios', 'uefi'],
    user: release.user ?? publisher.user,
    init: publisher.init,
    seedReader: publisher.seedReader,
    ...(release.cpuLevel && {cpuLevel: release.cpuLevel}),
    ...trustOf(image),
    ...(release.ends !== undefined && {ends: release.ends}),
    hasEnded: hasEnded(release, new Date().toISOString().slice(0, 10)),
    ...(problem !== undefined && {problem}),
  }
}
