import {stat} from 'node:fs/promises'
import {basename} from 'node:path'

import {ioError} from '../host/files.ts'
import {hashFile} from '../host/hash.ts'
import {VmctlError} from '../model/errors.ts'
import type {Provisioner} from './provisioner.ts'
import {describeTree, uploadTree} from './tree.ts'

export interface FileSettings {
  /** Absolute path of a local file or directory. */
  readonly source: string
  /** Absolute path in the guest. */
  readonly destination: string
  /** Permission bits; those of the source when absent. */
  readonly mode?: number
  /** `user` or `user:group`. */
  readonly owner?: string
  readonly privileged: boolean
}

/** `provision "file"`: a file or a directory, streamed into the guest. Doing it twice does no harm, so a cut one is simply done again. */
export const fileProvisioner: Provisioner<FileSettings> = {
  type: 'file',
  runs: 'on-change',

  parse(settings) {
    if (typeof settings.source !== 'string' || typeof settings.destination !== 'string') {
      throw new Error('file provision requires source and destination')
    }
    return {
      source: settings.source,
      destination: settings.destination,
      ...(typeof settings.mode === 'number' && {mode: settings.mode}),
      ...(typeof settings.owner === 'string' && {owner: settings.owner}),
      privileged: settings.privileged === true,
    }
  },

  describe: ({source, destination}) => `file: ${basename(source)} → ${destination}`,

  async facts({source, destination, mode, owner, privileged}) {
    const info = await statOrFail(source)
    const isTree = info.isDirectory()
    return {
      [source]: isTree ? await describeTree(source) : await hashFile(source),
      destination,
      // The files of a tree keep their own modes, which are part of its description.
      mode: isTree ? undefined : (mode ?? info.mode & 0o7777),
      owner,
      privilege: privileged,
    }
  },

  async run(settings, context) {
    const {source, destination, ...options} = settings
    const info = await statOrFail(source)
    const guest = await context.guest()
    if (info.isDirectory() && options.mode !== undefined) {
      throw new VmctlError('vmctl::provision::failed', `${source} is a directory; mode works for a single file.`, {
        help: 'Leave mode out: the files of a directory keep their own.',
      })
    }
    const upload = {...options, signal: context.signal}
    if (info.isDirectory()) await uploadTree(guest, source, destination, upload)
    else await guest.upload(source, destination, upload)
    await context.output('stdout', Buffer.from(`uploaded ${source} to ${destination}\n`))
  },
}

const statOrFail = (path: string) =>
  stat(path).catch((error: unknown) => {
    throw ioError('read', path, error)
  })
