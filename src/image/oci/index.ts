import type {Mirror} from '../../model/catalogue.ts'
import type {HttpOptions} from '../http-client.ts'
import type {ImageSource} from '../image-source.ts'
import type {HeldHeaders} from './authorizer.ts'

export interface OciSourceOptions extends HttpOptions {
  readonly env: NodeJS.ProcessEnv
  readonly mirrors?: () => Promise<readonly Mirror[]>
}

/** Images from OCI registries. What does it is loaded at the first fetch. */
export const createOciSource = (options: OciSourceOptions): ImageSource => {
  const held: HeldHeaders = new Map()
  const {mirrors = async () => []} = options
  return {
    schemes: ['oci'],
    fetch: async (reference, path, fetchOptions) => {
      const {fetchFromRegistry} = await import('./fetch.ts')
      return fetchFromRegistry(reference, path, {...options, ...fetchOptions, held, mirrors})
    },
    hasMoved: async (reference, fetched, {signal}) => {
      const {layerInRegistry} = await import('./fetch.ts')
      const digest = await layerInRegistry(reference, {...options, signal, held, mirrors})
      return digest !== undefined && digest !== `sha256:${fetched.sha256}` && digest !== fetched.etag
    },
  }
}
