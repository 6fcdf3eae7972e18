import {noopBackend} from '../model/vm.ts'
import {formatSize} from '../model/quantity.ts'

/** What a list of VMs says when there is none. */
export const noVms = 'No VMs yet. `vmctl up` makes those of a VMFile, `vmctl run debian:12` makes one without.'

export const describeMemory = (mebibytes: number | undefined): string => (mebibytes === undefined ? '-' : formatSize(mebibytes * 2 ** 20))

interface Seen {
  readonly state: string
  readonly backend?: string | undefined
  /** Why it does not run although nobody has suspended it. */
  readonly pause?: string | undefined
  readonly readiness?: string | undefined
}

/** The state of a VM in a word, with what would be misread without it. */
export const describeState = ({state, backend, pause, readiness}: Seen): string => {
  const word = state === 'destroyed' ? 'not created' : pause === undefined ? (readiness ?? state) : 'paused'
  return backend === noopBackend ? `${word} (noop)` : word
}
