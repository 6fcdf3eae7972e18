import {isFailure, VmctlError} from '../../model/errors.ts'
import type {CatalogueSignature, Trust} from '../../model/catalogue.ts'
import {fetchKey} from './keys.ts'
import {chooseKey, verifyClearsigned, verifyDetached} from './openpgp.ts'
import {verifyMinisign} from './minisign.ts'
import {BadSignature, type Verified} from './signature.ts'
import {fill, type Words} from './words.ts'

/** A list of checksums that can be believed as far as `trust` says. */
export interface VouchedList {
  readonly text: string
  readonly trust: Trust
}

export interface Vouching {
  readonly signature: CatalogueSignature
  readonly fingerprints: readonly string[]
  /** Who vouches, for people. */
  readonly by: string
  readonly words: Words
  readonly listUrl: URL
  /** Of a detached signature. */
  readonly signatureUrl?: URL
  readonly keyDirectory: string
  readonly read: (url: URL) => Promise<Buffer>
  /** Undefined when the server says that there is nothing. */
  readonly readIfPublished: (url: URL) => Promise<Buffer | undefined>
  readonly onNotice: (message: string) => void
}

/**
 * Fetches a list with its signature, and verifies it. Nothing of it is believed, and nothing else is taken, when that fails.
 * @throws VmctlError `vmctl::image::signature_invalid`, `vmctl::image::key_unusable`
 */
export const readSignedList = async (job: Vouching): Promise<VouchedList> => {
  let verified: Verified
  try {
    verified = await attempt(job)
  } catch (error) {
    // A list that changed between the two requests does not fit its signature for a moment.
    if (!isFailure(error, 'vmctl::image::signature_invalid')) throw error
    verified = await attempt(job)
  }
  const {content, fingerprint, keyEndedAt} = verified
  if (keyEndedAt) {
    job.onNotice(
      `The key ${fingerprint} of ${job.by} has ended on ${keyEndedAt.toISOString().slice(0, 10)}. What it signed before that is good.`,
    )
  }
  return {text: Buffer.from(content).toString('utf8'), trust: {level: 'signed', by: job.by, fingerprint}}
}

const attempt = async (job: Vouching): Promise<Verified> => {
  // The signature after the list: of a list that is being replaced it is the one that arrives last.
  const list = await job.read(job.listUrl)
  const signature = job.signatureUrl && (await job.readIfPublished(job.signatureUrl))
  if (job.signatureUrl && !signature) throw refused(job, 'is missing')
  const {form} = job.signature
  const check = async (fresh: boolean): Promise<Verified> => {
    if (form === 'minisign') return verifyMinisign(list, signature ?? Buffer.alloc(0), job.fingerprints)
    const keys = await keysOf(job, job.signature, fresh)
    return signature ? verifyDetached(list, signature, keys) : verifyClearsigned(list.toString('utf8'), keys)
  }
  try {
    return await check(false)
  } catch (error) {
    if (!(error instanceof BadSignature)) throw error
    if (!error.mayBeOldKey) throw refused(job, error.message)
  }
  // The cached copy of the key may be older than the subkey that signs now.
  try {
    return await check(true)
  } catch (error) {
    throw error instanceof BadSignature ? refused(job, error.message) : error
  }
}

const keysOf = (
  {fingerprints, words, keyDirectory, read}: Vouching,
  {keyUrl}: {readonly keyUrl: string},
  fresh: boolean,
): Promise<readonly string[]> =>
  Promise.all(
    fingerprints.map((fingerprint) =>
      fetchKey({fingerprint, url: fill(keyUrl, words), fresh}, {directory: keyDirectory, read, choose: chooseKey}),
    ),
  )

const refused = ({by, listUrl, signatureUrl, fingerprints}: Vouching, why: string): VmctlError => {
  const what = signatureUrl ? `The signature ${signatureUrl.href} of the list ${listUrl.href}` : `The signed list ${listUrl.href}`
  return new VmctlError('vmctl::image::signature_invalid', `${what} ${why}. ${by} signs with ${fingerprints.join(' or ')}.`, {
    details: {list: listUrl.href, ...(signatureUrl && {signature: signatureUrl.href}), fingerprints},
  })
}
