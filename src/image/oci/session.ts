import {isVmctlError, VmctlError} from '../../model/errors.ts'
import {isLoopbackRegistry, type OciReference} from '../../model/oci-reference.ts'
import {downloadError, type HttpClient, HttpFailure, type HttpOptions, openHttpClient, single} from '../http-client.ts'
import {createAuthorizer, type HeldHeaders} from './authorizer.ts'
import {findCredentials} from './credentials.ts'

export interface RegistryOptions extends HttpOptions {
  /** Where files with credentials are looked for. */
  readonly env: NodeJS.ProcessEnv
  readonly held: HeldHeaders
}

export interface SessionOptions extends RegistryOptions {
  readonly signal: AbortSignal
  readonly actions: 'pull' | 'pull,push'
  /** Another place that has what the registry has: its origin, with the beginning of the names of repositories there as its path. */
  readonly mirror?: string | undefined
}

/** One repository of one registry, with whatever it takes to be let in. */
export interface Session extends AsyncDisposable {
  readonly client: HttpClient
  /** Of a path such as `manifests/TAG` of the repository. */
  url(path: string): URL
}

export const openSession = async (reference: OciReference, options: SessionOptions): Promise<Session> => {
  const {registry, base, repository} = placeOf(reference, options.mirror)
  const client = await openHttpClient(options)
  const authorizer = createAuthorizer({
    ...options,
    client,
    base,
    scope: `repository:${repository}:${options.actions}`,
    find: () => findCredentials({registry, repository}, options),
  })
  const authorization = (url: URL): Record<string, string> => {
    const header = url.origin === base.origin ? authorizer.header() : undefined
    return header === undefined ? {} : {authorization: header}
  }
  return {
    url: (path) => new URL(`${base.origin}/v2/${repository}/${path}`),
    client: {
      async get(url, headers, signal) {
        for (let isRepeated = false; ; isRepeated = true) {
          try {
            return await client.get(url, {...headers, ...authorization(url)}, signal)
          } catch (error) {
            if (!(error instanceof HttpFailure) || !isRefusal(error)) throw error
            if (error.status !== 401 || isRepeated) throw await authorizer.refusal()
            await authorizer.answer(error.challenge, signal)
          }
        }
      },
      async send(request, signal) {
        for (let isRepeated = false; ; isRepeated = true) {
          const {url, headers} = request
          const response = await client.send({...request, headers: {...headers, ...authorization(url)}, namedBy: base}, signal)
          if (url.origin !== base.origin || (response.status !== 401 && response.status !== 403)) return response
          response.body.on('error', () => undefined).destroy()
          if (response.status !== 401 || isRepeated) throw await authorizer.refusal()
          await authorizer.answer(single(response.headers['www-authenticate']), signal)
        }
      },
      [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
    },
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  }
}

/** The registry itself has refused; what a server says to which it redirects is about that server. */
const isRefusal = ({status, isOfStart}: HttpFailure): boolean => isOfStart && (status === 401 || status === 403)

const placeOf = ({registry, repository}: OciReference, mirror: string | undefined) => {
  if (mirror !== undefined) {
    const base = new URL(mirror)
    const prefix = base.pathname.replaceAll(/^\/|\/$/g, '')
    return {registry: base.host, base: new URL(base.origin), repository: prefix === '' ? repository : `${prefix}/${repository}`}
  }
  // Docker Hub's registry is not where its name is, and its own images have one part in their names.
  const isHub = registry === 'docker.io'
  const scheme = isLoopbackRegistry(registry) ? 'http' : 'https'
  return {
    registry,
    base: new URL(`${scheme}://${isHub ? 'registry-1.docker.io' : registry}`),
    repository: isHub && !repository.includes('/') ? `library/${repository}` : repository,
  }
}

/** @returns the error for the user, of a failure on the way to something in a registry */
export const registryError = (url: URL, error: unknown): unknown =>
  isVmctlError(error) || !(error instanceof HttpFailure) ? error : downloadError(url, error)

export const notInRegistry = (shown: string): VmctlError =>
  new VmctlError('vmctl::image::not_found', `There is no ${shown} in its registry.`, {
    help: 'Check repository and tag. Some registries say so too of what they do not let you see: log in with `docker login` or `podman login`.',
  })
