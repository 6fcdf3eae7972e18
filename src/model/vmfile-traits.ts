/** What a VMFile is, besides its path. */
export interface VmfileTraits {
  /** Device and inode of its directory, `DEVICE:INODE`. */
  readonly directory: string
  /** Of its content when it was last applied. */
  readonly sha256: string
}
