import {stat} from 'node:fs/promises'
import {basename} from 'node:path'

import {ioError, specialKind} from '../../host/files.ts'
import {hashFile} from '../../host/hash.ts'
import {isVmctlError, VmctlError} from '../../model/errors.ts'
import type {FileSettings} from '../../model/steps.ts'
import type {Provisioner, StepContext} from '../provisioner.ts'
import type {Ignore} from '../tree/ignore.ts'
import type {TreeUploadOptions} from '../tree/tree-upload.ts'

/**
 * `provision "file"`: a file or a directory, streamed into the guest. Doing it twice does no harm, so a cut one is simply done
 * again. After a start of the VM the guest is asked whether it is still there: many systems empty /tmp when they boot.
 */
export const fileProvisioner: Provisioner<FileSettings> = {
  type: 'file',

  unkept: () => undefined,

  describe: ({source, destination}) => `file: ${basename(source)} → ${destination}`,

  async facts({source, destination, mode, owner, privileged, mirror, ...settings}) {
    const info = await statOrFail(source)
    const isTree = info.isDirectory()
    const {treeFacts} = await loadTrees()
    return {
      ...(isTree ? await treeFacts(source, await ignoreOf(settings)) : {[source]: await hashFile(source)}),
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
    const {uploadTree, tellLeftOut} = await loadTrees()
    const report = (what: string): Promise<void> => context.output('stdout', Buffer.from(`${what}\n`))
    if (info.isDirectory()) {
      const {sent, unchanged, removed, leftOut} = await uploadTree(guest, {source, destination}, await treeOptions(settings, context))
      if (leftOut.length > 0) await context.output('stderr', Buffer.from(`${tellLeftOut(source, leftOut)}\n`))
      await report(
        `uploaded ${source} to ${destination}: ${sent} sent, ${unchanged} unchanged${options.mirror ? `, ${removed} removed` : ''}`,
      )
      return
    }
    if (options.ignore || options.mirror) {
      throw new VmctlError('vmctl::provision::failed', `${source} is a file; ignore and mirror work for a directory.`)
    }
    await guest.upload(source, destination, {...options, signal: context.signal})
    await report(`uploaded ${source} to ${destination}`)
  },

  async isIntact(settings, context) {
    const {source, destination, owner, privileged} = settings
    const info = await statOrFail(source)
    const guest = await context.guest()
    const {isTreeThere, isFileThere} = await loadTrees()
    const looking = info.isDirectory()
      ? isTreeThere(guest, {source, destination}, await treeOptions(settings, context))
      : isFileThere(
          guest,
          {source, destination},
          {mode: settings.mode ?? info.mode & 0o777, ...(owner !== undefined && {owner}), privileged, signal: context.signal},
        )
    return looking.catch((error: unknown) => {
      // A guest without the programs for a look, or with something else in that place: sending it again tells what is wrong, if anything.
      if (isVmctlError(error) && ['vmctl::guest::copy_failed', 'vmctl::provision::failed'].includes(error.code)) return false
      throw error
    })
  },
}

const treeOptions = async (
  {owner, mirror, privileged, ...settings}: FileSettings,
  {signal}: Pick<StepContext, 'signal'>,
): Promise<TreeUploadOptions> => {
  const ignore = await ignoreOf(settings)
  return {...(owner !== undefined && {owner}), ...(mirror && {mirror}), ...(ignore && {ignore}), privileged, signal}
}

const ignoreOf = async ({ignore, ignoreRules}: Pick<FileSettings, 'ignore' | 'ignoreRules'>): Promise<Ignore | undefined> => {
  if (!ignore) return undefined
  const {ignorePatterns, dockerignorePatterns} = await loadTrees()
  return ignoreRules === 'dockerignore' ? dockerignorePatterns(ignore) : ignorePatterns(ignore)
}

/** Every command has this provisioner, and few have a tree to bring. */
const loadTrees = async () => ({
  ...(await import('../tree/ignore.ts')),
  ...(await import('../tree/tree-facts.ts')),
  ...(await import('../tree/tree-upload.ts')),
})

const statOrFail = async (path: string) => {
  const info = await stat(path).catch((error: unknown) => {
    throw ioError('read', path, error)
  })
  const kind = specialKind(info)
  if (kind !== undefined) throw new VmctlError('vmctl::provision::failed', `${path} is ${kind}, which cannot be uploaded.`)
  return info
}
