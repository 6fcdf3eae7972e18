/** A device of the host that is handed to the guest by VFIO. */
export interface PciDevice {
  /** Domain, bus, device and function in full: `0000:01:00.0`. */
  readonly address: string
  /** Absolute path. */
  readonly romFile?: string
}
