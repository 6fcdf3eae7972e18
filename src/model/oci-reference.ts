/** A disk image in an OCI registry, as `oci://HOST[:PORT]/REPOSITORY[:TAG][@DIGEST]` names it. */
export interface OciReference {
  /** Host, with its port if that is given: `ghcr.io`, `127.0.0.1:5000`, `[::1]:5000`. */
  readonly registry: string
  readonly repository: string
  /** `latest` when neither a tag nor a digest is given; absent when only a digest is. */
  readonly tag?: string
  /** Of the manifest: `sha256:` and 64 hexadecimal digits. */
  readonly digest?: string
}

/** Why a text names nothing in a registry, and what to do. */
export interface OciProblem {
  readonly message: string
  readonly hint: string
}

export const ociScheme = 'oci://'

const host = /^(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i
const component = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*'
const repositories = new RegExp(`^${component}(?:/${component})*$`)
const tags = /^\w[\w.-]{0,127}$/
const digests = /^sha256:[0-9a-f]{64}$/

const example = 'write it as oci://registry.example.org/team/debian:12'

/**
 * Reads a reference by the rules of the OCI distribution specification. A problem never repeats the text, which may hold a password.
 * @param text with `oci://`
 */
export const parseOciReference = (text: string): OciReference | OciProblem => {
  const rest = text.slice(ociScheme.length)
  const [, registry = rest, path = ''] = /^([^/]*)\/(.*)$/s.exec(rest) ?? []
  const {repository, tag, digest, isTooMuch} = partsOf(path)
  const problem =
    problemOfRegistry(registry, path) ?? problemOfRepository(repository, {registry, isTooMuch}) ?? problemOfVersion({tag, digest})
  if (problem) return problem
  const wanted = tag ?? (digest === undefined ? 'latest' : undefined)
  return {registry: registry.toLowerCase(), repository, ...(wanted !== undefined && {tag: wanted}), ...(digest !== undefined && {digest})}
}

const partsOf = (path: string) => {
  const [name = '', digest, ...more] = path.split('@')
  const [repository = '', tag, ...others] = name.split(':')
  return {repository, tag, digest, isTooMuch: more.length + others.length > 0}
}

const problemOfRegistry = (registry: string, path: string): OciProblem | undefined => {
  if (registry.includes('@'))
    return {message: 'a registry is not given a user or a password in a reference', hint: 'log in with `docker login` or `podman login`'}
  if (/[?#]/.test(path)) return {message: 'a reference has no query and no fragment', hint: example}
  const isUsable = host.test(registry) && Number(/:(\d+)$/.exec(registry)?.[1] ?? 1) <= 65_535
  return isUsable ? undefined : {message: 'this names no registry', hint: example}
}

const problemOfRepository = (
  repository: string,
  {registry, isTooMuch}: {readonly registry: string; readonly isTooMuch: boolean},
): OciProblem | undefined =>
  !isTooMuch && repository.length + registry.length <= 255 && repositories.test(repository)
    ? undefined
    : {message: 'this names no repository', hint: `a repository has lower-case letters, digits and . _ - / in it; ${example}`}

const problemOfVersion = ({
  tag,
  digest,
}: {
  readonly tag: string | undefined
  readonly digest: string | undefined
}): OciProblem | undefined => {
  if (tag !== undefined && !tags.test(tag))
    return {message: 'this is no tag', hint: 'a tag has letters, digits and . _ - in it, 128 at most'}
  if (digest !== undefined && !digests.test(digest))
    return {message: 'this is no digest of a manifest', hint: 'it is written @sha256: and 64 lower-case hexadecimal digits'}
  return undefined
}

/** A reference as people write it, without `oci://`. */
export const showOciReference = ({registry, repository, tag, digest}: OciReference): string =>
  `${registry}/${repository}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`

/** Whether a registry is on this host, where Docker and its like speak http as well. */
export const isLoopbackRegistry = (registry: string): boolean => {
  const name = registry.replace(/:\d+$/, '')
  return name === 'localhost' || name === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(name)
}

/** Whether a name is one of a registry, which no publisher of images has: `ghcr.io`, `localhost`, `127.0.0.1:5000`. */
export const isRegistryName = (text: string): boolean => host.test(text) && (/[.:]/.test(text) || text === 'localhost')
