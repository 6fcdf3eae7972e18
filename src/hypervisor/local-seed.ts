import {open, stat} from 'node:fs/promises'
import {join} from 'node:path'

import {act, link, remove, syncDirectory} from '../host/durable.ts'
import {ioError, pathExists, writeFileAtomic} from '../host/files.ts'
import {buildIso} from '../host/iso9660.ts'
import type {SeedDocuments} from '../model/cloud-init.ts'
import {messageOf, systemCode, VmctlError} from '../model/errors.ts'
import type {Vm} from '../model/vm.ts'

/** The seed of a backend that has it in the directory of the VM: an image that a guest finds by its label. */
export const seedIn = (directory: string): string => join(directory, 'seed.iso')

/** The seed that was there before, on its way to be wiped. */
const spentIn = (directory: string): string => join(directory, 'seed-spent.iso')

/** The names that cloud-init's NoCloud source reads. There are no others, so no name needs checking. */
export const seedFiles = ({metaData, userData, vendorData, networkConfig}: SeedDocuments): Readonly<Record<string, Uint8Array>> => ({
  'meta-data': bytes(metaData),
  'user-data': bytes(userData),
  ...(vendorData === undefined ? {} : {'vendor-data': bytes(vendorData)}),
  ...(networkConfig === undefined ? {} : {'network-config': bytes(networkConfig)}),
})

/**
 * Writes the seed image (label `cidata`) as a whole, for this user only: it may hold the private host key. One that is there already
 * is overwritten and removed once the guest sees the new one. Every act may be repeated, so whoever was killed in between starts
 * from the front.
 * @param show lets a running guest see the new file, and lets go of the one before
 * @throws VmctlError `vmctl::cloudinit::iso_failed`
 */
export const writeLocalSeed = async (
  {directory, createdAt}: Pick<Vm, 'directory' | 'createdAt'>,
  documents: SeedDocuments,
  show: () => Promise<void> = async () => undefined,
): Promise<void> => {
  const [seed, spent] = [seedIn(directory), spentIn(directory)]
  const isFirst = !(await pathExists(seed))
  if (!isFirst) {
    await link(seed, spent).catch((error: unknown) => {
      if (systemCode(error) !== 'EEXIST') throw ioError('link', spent, error)
    })
  }
  try {
    const image = buildIso({volumeId: 'cidata', files: seedFiles(documents), date: new Date(createdAt)})
    await writeFileAtomic(seed, image, 0o600)
  } catch (error) {
    throw new VmctlError('vmctl::cloudinit::iso_failed', `The cloud-init seed could not be written: ${messageOf(error)}`, {cause: error})
  }
  if (isFirst) return
  await show()
  await wipe(spent)
  await syncDirectory(directory)
}

/** Overwrites a file before its name goes. On a file system that writes elsewhere (copy on write, flash) this is no more than a removal. */
const wipe = async (path: string): Promise<void> => {
  const {size} = await stat(path)
  await act(`wipe ${path}`, async () => {
    const handle = await open(path, 'r+')
    try {
      await handle.write(Buffer.alloc(size), 0, size, 0)
      await handle.sync()
    } finally {
      await handle.close()
    }
  })
  await remove(path)
}

const bytes = (content: string | Uint8Array): Uint8Array => (typeof content === 'string' ? Buffer.from(content) : content)
