import type {HttpOptions} from './http-client.ts'
import type {ImageSource} from './image-source.ts'

/** Images from http and https servers: checked, resumed, retried. Most commands fetch nothing, so what does it is loaded at the first fetch. */
export const createHttpSource = (options: HttpOptions = {}): ImageSource => {
  const load = async () => (await import('./http-fetch.ts')).httpFetcher(options)
  return {
    schemes: ['https', 'http'],
    fetch: async (reference, path, fetchOptions) => (await load()).fetch(reference, path, fetchOptions),
    publishedDigests: async (reference, fetchOptions) => (await load()).publishedDigests(reference, fetchOptions),
  }
}
