/** Where a VM lives that is not on this host. */
export interface HomeSpec {
  /** As `vmctl home add` has called it. */
  readonly name: string
  /** Project of the server; that of the home when absent. */
  readonly project?: string
  /** Storage pool for disks; that of the project's default profile when absent. */
  readonly pool?: string
  /** Network by which the guest reaches others; that of the project's default profile when absent. */
  readonly network?: string
}

/** The backend of VMs that live in a home. */
export const homeBackend = 'incus'

/** The name of no home: this host. */
export const localHome = 'local'

/** Where in a home. */
export interface PlaceSpec {
  /** A member of the cluster. */
  readonly member?: string
  /** A group of members, of which the server chooses one. */
  readonly group?: string
}
