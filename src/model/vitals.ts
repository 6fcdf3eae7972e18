/** What a guest has done since its start, as a backend sees it from outside; what it cannot see is absent. */
export interface Vitals {
  /** Processor time that the VM has used, in seconds. */
  readonly cpuSeconds?: number
  /** Whether the VM computes just now, or would if the host had a processor for it. */
  readonly busy?: boolean
  /** Requests to its disks, the seed among them. */
  readonly diskReads?: number
  readonly diskWrites?: number
  /** Where in the log of the console this start begins, in bytes. */
  readonly consoleFrom?: number
  /** Connections through forwarded ports that the guest's network stack has accepted. */
  readonly connections?: number
}
