import * as Flags from '@oclif/core/flags'

import * as flags from '../../cli/flags.ts'
import {lockLine} from '../../cli/lock-changes.ts'
import {VmfileCommand} from '../../cli/vmfile-command.ts'
import type {LockResult} from '../../engine/manage/image-lock.ts'

export default class ImageLock extends VmfileCommand {
  static override summary = 'Write the lock file of a VMFile, without making VMs.'
  static override description =
    'Images that are locked stay as they are; what is missing is added, what the VMFile no longer uses is removed. A disk is fetched only where nothing else tells its digest. `--check` changes nothing and asks nobody: exit status 5 when the lock file is missing, incomplete or out of date.'
  static override flags = {
    ...flags.fetching,
    check: Flags.boolean({summary: 'Only tell whether the lock file is complete and fits the VMFile.'}),
    file: flags.file,
  }
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --check']

  async run(): Promise<LockResult> {
    const {flags: given} = await this.parse(ImageLock)
    const engine = await this.openEngine(given)
    const vmfile = await this.readVmfile(engine, given.file)
    const {checkLock, writeLock} = await import('../../engine/manage/image-lock.ts')
    const result = given.check ? await checkLock(engine, vmfile) : await writeLock(engine, vmfile)
    if (result.images.length === 0) this.log('The VMFile has no images to lock.')
    for (const change of result.images) this.log(lockLine(change))
    return result
  }
}
