import {remove, syncDirectory} from '../host/durable.ts'
import {readOwnIfExists, writeFileAtomic} from '../host/files.ts'
import {seal, unseal} from '../host/sealed.ts'
import {VmctlError} from '../model/errors.ts'
import {vmFiles} from '../model/layout.ts'
import type {Saved} from '../model/saveable.ts'
import type {Vm} from '../model/vm.ts'

type Kept = Pick<Vm, 'directory'>

/**
 * What is on record of a guest whose memory is on disk; undefined when there is none.
 * @throws VmctlError `vmctl::vm::record_damaged`
 */
export const readSaved = (directory: string, name: string): Saved | undefined => {
  const path = vmFiles(directory).saved
  const text = readOwnIfExists(path)
  if (text === undefined) return undefined
  const saved = parse(text)
  if (saved) return saved
  throw new VmctlError('vmctl::vm::record_damaged', `The record of the saved guest of ${name} cannot be read: ${path}.`, {
    help: 'Put it back from a backup. To boot the VM from its disk, without what its guest had only in memory, remove the file.',
  })
}

const parse = (text: string): Saved | undefined => {
  try {
    const value = unseal(text)
    if (typeof value !== 'object' || value === null || !('savedAt' in value) || !('bytes' in value)) return undefined
    const {savedAt, bytes} = value
    return typeof savedAt === 'string' && typeof bytes === 'number' ? {savedAt, bytes} : undefined
  } catch {
    return undefined
  }
}

/** From when this has returned, the guest is saved whatever happens. Its memory is on disk before. */
export const writeSaved = ({directory}: Kept, saved: Saved): Promise<void> =>
  writeFileAtomic(vmFiles(directory).saved, seal({schema: 1, ...saved}))

/** From when this has returned, nobody can load the memory a second time. Does nothing when there is none. */
export const forgetSaved = async ({directory}: Kept): Promise<void> => {
  await remove(vmFiles(directory).saved)
  await syncDirectory(directory)
}

/** Removes memory that nobody can load any more, or that was never saved to its end. */
export const removeSavedMemory = ({directory}: Kept): Promise<void> => remove(vmFiles(directory).savedMemory)
