import {VmctlError} from '../model/errors.ts'
import type {ImageReference} from '../model/vm.ts'
import type {ImageStore} from './image-store.ts'
import {displayUrl, parseImageUrl} from './url.ts'

/** The same images, to which nothing is added from anywhere else. */
export const offlineStore = (store: ImageStore): ImageStore => ({
  ...store,
  sources: store.sources.map(({schemes}) => {
    const refuse = ({source}: ImageReference): Promise<never> => Promise.reject(offlineError(displayUrl(parseImageUrl(source))))
    return {schemes, fetch: refuse, publishedDigests: refuse}
  }),
  resolve: ({source}) => Promise.reject(offlineError(source)),
  isOffline: true,
})

const offlineError = (what: string): VmctlError =>
  new VmctlError('vmctl::image::offline', `${what} is not in the cache, and nothing is fetched offline.`, {details: {image: what}})
