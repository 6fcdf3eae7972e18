import * as Flags from '@oclif/core/flags'

import {VmctlCommand} from '../../cli/base-command.ts'
import {catalogueTable} from '../../cli/catalogue-table.ts'
import {type Column, listing} from '../../cli/table.ts'
import type {AvailableImage} from '../../engine/manage/catalogue.ts'
import type {CachedImage, UsedImage} from '../../engine/manage/images.ts'
import {formatAge, formatSize} from '../../model/quantity.ts'

const cachedColumns: readonly Column[] = [
  {title: 'NAME', long: 'cut'},
  {title: 'SIZE', align: 'right'},
  {title: 'TRUST', spare: 2},
  {title: 'PATH', long: 'cut-beginning', spare: 1},
]

const usageColumns: readonly Column[] = [
  {title: 'NAME', long: 'cut'},
  {title: 'ON DISK', align: 'right'},
  {title: 'LAST USED', spare: 1},
  {title: 'USED BY', long: 'wrap'},
]

const usageRow = ({name, allocatedBytes, lastUsedAt, uses}: UsedImage): readonly string[] => [
  name,
  formatSize(allocatedBytes),
  lastUsedAt === undefined ? '-' : `${formatAge(Date.now() - Date.parse(lastUsedAt))} ago`,
  uses.map(useWords).join(', ') || '-',
]

const useWords = ({kind, name, allocatedBytes}: UsedImage['uses'][number]): string =>
  `${kind === 'vm' ? '' : `${kind} `}${name}${allocatedBytes === undefined ? '' : ` (${formatSize(allocatedBytes)})`}`

const nothing = 'No cached images. `vmctl image pull debian:12` fetches one.'

export default class ImageList extends VmctlCommand {
  static override aliases = ['image:ls', 'images']
  static override summary = 'List the images in the cache.'
  static override flags = {
    available: Flags.boolean({summary: 'List the images that have a name, such as `debian:12`, instead, as `image search` does.'}),
    usage: Flags.boolean({
      summary: 'Show who uses each image, with what that takes itself, and when it was last used.',
      exclusive: ['available'],
    }),
  }
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --json']

  async run(): Promise<{readonly images: readonly CachedImage[] | readonly UsedImage[] | readonly AvailableImage[]}> {
    const {flags} = await this.parse(ImageList)
    const engine = await this.openEngine(flags)
    if (flags.available) {
      const {searchCatalogue} = await import('../../engine/manage/catalogue.ts')
      const known = await searchCatalogue(engine)
      this.log(catalogueTable(known))
      return {images: known}
    }
    const {cachedImages, usedImages} = await import('../../engine/manage/images.ts')
    if (flags.usage) {
      const used = await usedImages(engine)
      this.log(listing(usageColumns, used.map(usageRow), {empty: nothing}))
      return {images: used}
    }
    const images = await cachedImages(engine)
    const rows = images.map(({name, sizeBytes, trust, path}) => [name, formatSize(sizeBytes ?? 0), trust ?? '-', path ?? '-'])
    this.log(listing(cachedColumns, rows, {empty: nothing}))
    return {images}
  }
}
