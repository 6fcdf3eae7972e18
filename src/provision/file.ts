import {stat} from 'node:fs/promises'
import {basename} from 'node:path'

import {ioError} from '../host/files.ts'
import {hashFile} from '../host/hash.ts'
import {VmctlError} from '../model/errors.ts'
import {isMirrorable} from '../model/safe-path.ts'
import type {Provisioner} from './provisioner.ts'

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
  /** Patterns of what a directory is uploaded without. */
  readonly ignore?: readonly string[]
  /** Whether the destination loses what the source directory does not have. */
  readonly mirror?: boolean
}

/** `provision "file"`: a file or a directory, streamed into the guest. Doing it twice does no harm, so a cut one is simply done again. */
export const fileProvisioner: Provisioner<FileSettings> = {
  type: 'file',
  runs: 'on-change',

  parse(settings) {
    if (typeof settings.source !== 'string' || typeof settings.destination !== 'string') {
      throw new Error('file provision requires source and destination')
    }
    if (settings.mirror === true && !isMirrorable(settings.destination)) {
      throw new Error(`${JSON.stringify(settings.destination)} is too much to be mirrored: everything else in it would be deleted`)
    }
    return {
      source: settings.source,
      destination: settings.destination,
      ...(typeof settings.mode === 'number' && {mode: settings.mode}),
      ...(typeof settings.owner === 'string' && {owner: settings.owner}),
      privileged: settings.privileged === true,
      ...(Array.isArray(settings.ignore) && settings.ignore.length > 0 && {ignore: settings.ignore.map(String)}),
      ...(settings.mirror === true && {mirror: true}),
    }
  },

  describe: ({source, destination}) => `file: ${basename(source)} → ${destination}`,

  async facts({source, destination, mode, owner, privileged, ignore, mirror}) {
    const info = await statOrFail(source)
    const isTree = info.isDirectory()
    const {treeFacts, ignorePatterns} = await loadTrees()
    return {
      ...(isTree ? await treeFacts(source, ignore && ignorePatterns(ignore)) : {[source]: await hashFile(source)}),
      destination,
      // The files of a tree keep their own modes, which are part of its description.
      mode: isTree ? undefined : (mode ?? info.mode & 0o7777),
      owner,
      privilege: privileged,
      mirror: mirror || undefined,
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
    const {uploadTree, ignorePatterns} = await loadTrees()
    const report = (what: string): Promise<void> => context.output('stdout', Buffer.from(`${what}\n`))
    if (info.isDirectory()) {
      const {owner, mirror, ignore, privileged} = options
      const {sent, unchanged, removed} = await uploadTree(
        guest,
        {source, destination},
        {
          ...(owner !== undefined && {owner}),
          ...(mirror && {mirror}),
          ...(ignore && {ignore: ignorePatterns(ignore)}),
          privileged,
          signal: context.signal,
        },
      )
      await report(`uploaded ${source} to ${destination}: ${sent} sent, ${unchanged} unchanged${mirror ? `, ${removed} removed` : ''}`)
      return
    }
    if (options.ignore || options.mirror) {
      throw new VmctlError('vmctl::provision::failed', `${source} is a file; ignore and mirror work for a directory.`)
    }
    await guest.upload(source, destination, {...options, signal: context.signal})
    await report(`uploaded ${source} to ${destination}`)
  },
}

/** Every command has this provisioner, and few have a tree to bring. */
const loadTrees = async () => ({
  ...(await import('./ignore.ts')),
  ...(await import('./tree-facts.ts')),
  ...(await import('./tree-upload.ts')),
})

const statOrFail = (path: string) =>
  stat(path).catch((error: unknown) => {
    throw ioError('read', path, error)
  })
