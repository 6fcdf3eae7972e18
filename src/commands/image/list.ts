import * as Flags from '@oclif/core/flags'

import {VmctlCommand} from '../../cli/base-command.ts'
import {table} from '../../cli/table.ts'
import type {AvailableImage, CachedImage} from '../../engine/manage/images.ts'
import {formatSize} from '../../model/quantity.ts'

export default class ImageList extends VmctlCommand {
  static override aliases = ['image:ls', 'images']
  static override summary = 'List the images in the cache.'
  static override flags = {available: Flags.boolean({summary: 'List the images that have an alias, such as `debian:12`, instead.'})}
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --json']

  async run(): Promise<{readonly images: readonly CachedImage[] | readonly AvailableImage[]}> {
    const {flags} = await this.parse(ImageList)
    const engine = await this.openEngine(flags)
    const {availableImages, cachedImages} = await import('../../engine/manage/images.ts')
    if (flags.available) {
      const known = availableImages()
      this.log(
        table(
          ['NAME', 'USER', 'OS', 'URL'],
          known.map(({name, user, os, url}) => [name, user, os, url]),
        ),
      )
      return {images: known}
    }
    const images = await cachedImages(engine)
    const rows = images.map(({name, sizeBytes, path}) => [name, formatSize(sizeBytes ?? 0), path ?? '-'])
    this.log(rows.length === 0 ? 'No cached images.' : table(['NAME', 'SIZE', 'PATH'], rows))
    return {images}
  }
}
