import * as Args from '@oclif/core/args'

import {VmctlCommand} from '../../cli/base-command.ts'
import {catalogueTable} from '../../cli/catalogue-table.ts'
import type {AvailableImage} from '../../engine/manage/catalogue.ts'

export default class ImageSearch extends VmctlCommand {
  static override summary = 'Show the images that have a name, such as `debian:12`.'
  static override description =
    'These come with vmctl, with plugins, and from `images.kdl` in the configuration directory. `signed`: the list of checksums is verified with a key whose fingerprint is known beforehand; `checksum`: the list comes over https.'
  static override args = {name: Args.string({description: 'Part of a name; all images when absent.'})}
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> debian']

  async run(): Promise<{readonly images: readonly AvailableImage[]}> {
    const {args, flags} = await this.parse(ImageSearch)
    const engine = await this.openEngine(flags)
    const {searchCatalogue} = await import('../../engine/manage/catalogue.ts')
    const images = await searchCatalogue(engine, args.name)
    this.log(catalogueTable(images))
    return {images}
  }
}
