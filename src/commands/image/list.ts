import * as Flags from '@oclif/core/flags'

import {VmctlCommand} from '../../cli/base-command.ts'
import {screenOf} from '../../cli/screen.ts'
import {type Column, listing, table} from '../../cli/table.ts'
import type {AvailableImage, CachedImage} from '../../engine/manage/images.ts'
import {formatSize} from '../../model/quantity.ts'

const cachedColumns: readonly Column[] = [
  {title: 'NAME', long: 'cut'},
  {title: 'SIZE', align: 'right'},
  {title: 'PATH', long: 'cut-beginning', spare: 1},
]

const availableColumns: readonly Column[] = [{title: 'NAME'}, {title: 'USER'}, {title: 'OS'}, {title: 'URL', long: 'cut', spare: 1}]

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
          availableColumns,
          known.map(({name, user, os, url}) => [name, user, os, url]),
          screenOf(process.stdout),
        ),
      )
      return {images: known}
    }
    const images = await cachedImages(engine)
    const rows = images.map(({name, sizeBytes, path}) => [name, formatSize(sizeBytes ?? 0), path ?? '-'])
    this.log(listing(cachedColumns, rows, {empty: 'No cached images. `vmctl image pull debian:12` fetches one.'}))
    return {images}
  }
}
