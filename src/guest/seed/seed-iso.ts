import {writeFileAtomic} from '../../host/files.ts'
import {messageOf, VmctlError} from '../../model/errors.ts'
import {buildIso} from './iso9660.ts'

/** The documents of a NoCloud seed; text or, for what the user brought, untouched bytes. */
export interface SeedDocuments {
  readonly metaData: string
  readonly userData: string | Uint8Array
  readonly vendorData?: string | Uint8Array
  readonly networkConfig?: string | Uint8Array
}

/** The names that cloud-init's NoCloud source reads. There are no others, so no name needs checking. */
export const seedFiles = ({metaData, userData, vendorData, networkConfig}: SeedDocuments): Readonly<Record<string, Uint8Array>> => ({
  'meta-data': bytes(metaData),
  'user-data': bytes(userData),
  ...(vendorData === undefined ? {} : {'vendor-data': bytes(vendorData)}),
  ...(networkConfig === undefined ? {} : {'network-config': bytes(networkConfig)}),
})

/**
 * Writes the seed image (label `cidata`) as a whole, for this user only: it holds the private host key.
 * @throws VmctlError `vmctl::cloudinit::iso_failed`
 */
export const writeSeed = async (path: string, documents: SeedDocuments, date: Date): Promise<void> => {
  try {
    await writeFileAtomic(path, buildIso({volumeId: 'cidata', files: seedFiles(documents), date}), 0o600)
  } catch (error) {
    throw new VmctlError('vmctl::cloudinit::iso_failed', `The cloud-init seed could not be written: ${messageOf(error)}`, {cause: error})
  }
}

const bytes = (content: string | Uint8Array): Uint8Array => (typeof content === 'string' ? Buffer.from(content) : content)
