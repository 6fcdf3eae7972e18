import {readOwnIfExists, writeFileAtomic} from '../host/files.ts'
import {seal, unseal} from '../host/sealed.ts'
import {isVmctlError, VmctlError} from '../model/errors.ts'
import {vmFiles} from '../model/layout.ts'

/** What is known of a VM's guest, stored as `guest.json` beside its disk. */
export interface GuestRecord {
  readonly schema: 1
  /** Whether the guest was seen ready (SSH answers, cloud-init has finished well) since it was made. */
  readonly ready: boolean
  /** What the guest was given of its stack, hashed, by part. */
  readonly setup?: Readonly<Record<string, string>>
}

export const newGuest: GuestRecord = {schema: 1, ready: false}

/**
 * The record of a VM's guest; that of a new one when nothing is on record. Up to version 0.1 the journal of the provision
 * steps had it; as soon as there is a `guest.json`, that is the truth, whatever a journal still says.
 * @throws VmctlError `vmctl::vm::record_damaged`: a guest that is taken for new may show any host key on some VMs
 */
export const readGuest = async (vmDirectory: string): Promise<GuestRecord> => {
  const text = readOwnIfExists(vmFiles(vmDirectory).guest)
  const record = text === undefined ? await readOlder(vmDirectory) : parse(text)
  if (record) return record
  throw damagedGuest(vmDirectory, text === undefined ? 'journal' : 'guest')
}

/** The same for those who only look, and for verbs that do not care about the guest: undefined when it is damaged. */
export const peekGuest = (vmDirectory: string): Promise<GuestRecord | undefined> =>
  readGuest(vmDirectory).catch((error: unknown) => {
    if (isVmctlError(error) && error.code === 'vmctl::vm::record_damaged') return undefined
    throw error
  })

export const writeGuest = (vmDirectory: string, record: GuestRecord): Promise<void> =>
  writeFileAtomic(vmFiles(vmDirectory).guest, seal(record))

export const damagedGuest = (vmDirectory: string, file: 'guest' | 'journal' = 'guest'): VmctlError => {
  const path = vmFiles(vmDirectory)[file]
  return new VmctlError('vmctl::vm::record_damaged', `What is known of the guest cannot be read: ${path}.`, {
    help: `To have the guest waited for and set up as after its first boot: \`rm ${path}\`, then \`vmctl up\`.`,
    details: {path},
  })
}

const parse = (text: string): GuestRecord | undefined => {
  const value = unsealed(text)
  return isGuest(value) ? value : undefined
}

/** What a journal of schema 1 says of the guest. */
const readOlder = async (vmDirectory: string): Promise<GuestRecord | undefined> => {
  const text = readOwnIfExists(vmFiles(vmDirectory).journal)
  if (text === undefined) return newGuest
  const value = unsealed(text)
  if (!isObject(value)) return undefined
  if (value.schema !== 1) return newGuest
  const {ready, setup} = value
  const record = {schema: 1, ready, ...(setup !== undefined && {setup})}
  return isGuest(record) ? record : undefined
}

const unsealed = (text: string): unknown => {
  try {
    return unseal(text)
  } catch {
    return undefined
  }
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

const isGuest = (value: unknown): value is GuestRecord =>
  isObject(value) &&
  value.schema === 1 &&
  typeof value.ready === 'boolean' &&
  (value.setup === undefined || (isObject(value.setup) && Object.values(value.setup).every((hash) => typeof hash === 'string')))
