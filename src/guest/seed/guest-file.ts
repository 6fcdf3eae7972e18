/** A file for the guest, with its bytes. */
export interface GuestFile {
  readonly path: string
  readonly content: Uint8Array
  readonly mode?: number | undefined
  readonly owner?: string | undefined
}
