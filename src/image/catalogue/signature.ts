/** What a good signature says. */
export interface Verified {
  /** The bytes that were signed; of a clear-signed message those alone, and nothing that stands around them. */
  readonly content: Uint8Array
  /** Of the primary key, upper-case hex; of minisign the public key itself. */
  readonly fingerprint: string
  /** Absent where nothing that was signed tells. */
  readonly signedAt?: Date
  /** The key that signed is not valid any more, since this day; what it signed before is good. */
  readonly keyEndedAt?: Date
}

/** A signature that proves nothing: `message` says why, as the rest of a sentence. */
export class BadSignature extends Error {
  /** Whether a newer copy of the key may help: it is not the one that signed, or has ended. */
  readonly mayBeOldKey: boolean

  constructor(message: string, mayBeOldKey = false) {
    super(message)
    this.mayBeOldKey = mayBeOldKey
  }
}
