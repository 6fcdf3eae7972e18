import {VmctlCommand} from '../../cli/base-command.ts'
import {table} from '../../cli/table.ts'
import type {CachedImage} from '../../engine/images.ts'
import {formatSize} from '../../model/quantity.ts'

export default class ImageList extends VmctlCommand {
  static override aliases = ['image:ls', 'images']
  static override summary = 'Show the images in the cache.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --json']

  async run(): Promise<{readonly images: readonly CachedImage[]}> {
    const {flags} = await this.parse(ImageList)
    const engine = await this.openEngine(flags)
    const {cachedImages} = await import('../../engine/images.ts')
    const images = await cachedImages(engine)
    const rows = images.map(({name, sizeBytes, path}) => [name, formatSize(sizeBytes ?? 0), path ?? '-'])
    this.log(rows.length === 0 ? 'No cached images.' : table(['NAME', 'SIZE', 'PATH'], rows))
    return {images}
  }
}
