import type {Saved} from '../model/saveable.ts'
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
  readonly saved?: Saved | undefined
}

/** `since 2026-03-01 18:02 UTC, 120 MB on disk`. */
export const describeSaved = ({savedAt, bytes}: Saved): string =>
  `since ${savedAt.slice(0, 16).replace('T', ' ')} UTC, ${formatSize(bytes)} on disk`

/** The state of a VM in a word, with what would be misread without it. */
export const describeState = ({state, backend, pause, readiness, saved}: Seen): string => {
  const word = state === 'destroyed' ? 'not created' : pause === undefined ? (readiness ?? state) : 'paused'
  const more = saved ? ` (${describeSaved(saved)})` : ''
  return backend === noopBackend ? `${word} (noop)${more}` : `${word}${more}`
}
