/** A named disk of the top level of a VMFile. */
export interface VolumeSpec {
  /** Unique in the state directory: `<scope>.<name>`, or `<scope>.<name>-<replica>` of a volume per replica. */
  readonly id: string
  readonly name: string
  readonly sizeBytes: number
  readonly filesystem: 'ext4' | 'xfs' | 'none'
  /** Label of the file system; derived from the id when absent. */
  readonly label?: string
}

export interface VolumeMount {
  readonly volume: VolumeSpec
  /** Absolute path in the guest; absent for a volume without a file system. */
  readonly target?: string
  readonly readOnly: boolean
  /** Mount options besides those that vmctl needs. */
  readonly options: readonly string[]
}

/** A folder or file of the host in the guest. */
export interface Share {
  /** Absolute path on the host. */
  readonly source: string
  /** Whether the source is one file. */
  readonly isFile: boolean
  /** Absolute path in the guest. */
  readonly target: string
  readonly readOnly: boolean
  readonly automount: boolean
  readonly driver: 'auto' | 'virtiofs' | '9p'
  readonly options: readonly string[]
  /** At most 31 bytes (the limit of 9p); derived from the target when absent. */
  readonly tag?: string
}

/** A layer below the disk of a VM. */
export interface DiskLayer {
  /** 12 hexadecimal digits. */
  readonly id: string
  /** Absolute path of a qcow2 file. */
  readonly path: string
  readonly virtualSizeBytes: number
}
