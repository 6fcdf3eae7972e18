import {join} from 'node:path'

import {readIfExists} from '../host/files.ts'
import {configDirectory} from '../host/paths.ts'
import type {Catalogue} from '../image/catalogue/resolve.ts'
import {mergeCatalogues, type Publisher} from '../model/catalogue.ts'
import {builtInCatalogue} from '../model/catalogue-entries.ts'

/** Where a user says which images have names, besides those that vmctl and its plugins bring. */
export const imagesFilePath = (env: NodeJS.ProcessEnv): string => join(configDirectory(env), 'vmctl', 'images.kdl')

/**
 * The images that have a name: of vmctl, of plugins, of the user, the later ones in place of earlier ones of the same publisher.
 * @throws VmctlError `vmctl::vmfile::parse_failed`, `vmctl::vmfile::validation`
 */
export const readCatalogue = async (env: NodeJS.ProcessEnv, ofPlugins: readonly Publisher[]): Promise<Catalogue> => {
  const path = imagesFilePath(env)
  const text = await readIfExists(path)
  if (text === undefined) return {publishers: mergeCatalogues(builtInCatalogue, ofPlugins), mirrors: []}
  const known = mergeCatalogues(builtInCatalogue, ofPlugins)
  const {parseImagesFile} = await import('../vmfile/catalogue.ts')
  const {publishers, mirrors} = parseImagesFile(text, {file: path, known: known.map(({name}) => name)})
  return {publishers: mergeCatalogues(known, publishers), mirrors}
}
