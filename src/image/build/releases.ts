import {VmctlError} from '../../model/errors.ts'

/** A Debian that can be built. */
export interface BuildableRelease {
  /** As it is asked for: `debian:12`. */
  readonly name: string
  /** Code name, which is the name of the suite at mirrors. */
  readonly suite: string
}

/** The newest first; it is what the name alone means. */
export const buildableReleases: readonly BuildableRelease[] = [
  {name: 'debian:13', suite: 'trixie'},
  {name: 'debian:12', suite: 'bookworm'},
  {name: 'debian:11', suite: 'bullseye'},
]

/**
 * What a name means here.
 * @throws VmctlError `vmctl::image::not_buildable`
 */
export const buildableRelease = (name: string): BuildableRelease => {
  const [newest] = buildableReleases
  const wanted = name.toLowerCase()
  const found =
    wanted === 'debian' ? newest : buildableReleases.find((release) => [release.name, `debian:${release.suite}`].includes(wanted))
  if (found) return found
  const names = buildableReleases.map((release) => release.name)
  throw new VmctlError('vmctl::image::not_buildable', `${JSON.stringify(name)} cannot be built from packages.`, {
    help: `These can be: ${names.join(', ')}. Other images are fetched: \`vmctl image search\` shows them.`,
    details: {names},
  })
}
