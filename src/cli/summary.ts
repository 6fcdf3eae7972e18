import type {VmResult} from '../engine/converge/result.ts'
import type {Verb} from '../engine/plan/vm-plan.ts'
import {formatDuration} from '../model/quantity.ts'

const stateWords: Readonly<Record<string, string>> = {running: 'up'}

/** What a verb has led to, in one line: `2 VMs up in 34.1 s`. None where nothing was to be brought down. */
export const summarize = (
  vms: readonly VmResult[],
  {verb, elapsedMs}: {readonly verb: Verb; readonly elapsedMs: number},
): readonly string[] => {
  const changed = vms.filter(({actions}) => actions.length > 0)
  if (changed.length === 0) return verb === 'up' && vms.length > 0 ? [`${counted(vms)} ${vms.length === 1 ? 'is' : 'are'} up to date.`] : []
  const wordOf = ({state}: VmResult): string => (verb === 'provision' ? 'provisioned' : (stateWords[state] ?? state))
  const told = verb === 'up' || verb === 'reload' ? vms : changed
  const groups = Map.groupBy(told, wordOf)
  const text = [...groups].map(([word, group], index) => `${index === 0 ? counted(group) : group.length} ${word}`).join(', ')
  return [`${text} in ${formatDuration(elapsedMs)}`]
}

/** One by its name, several by their number. */
const counted = (vms: readonly VmResult[]): string => (vms.length === 1 ? (vms[0]?.name ?? '') : `${vms.length} VMs`)

/** `1 of 3 VMs failed after 12 s: web.` */
export const withTime = (message: string, elapsedMs: number): string =>
  message.replace(' failed', ` failed after ${formatDuration(elapsedMs)}`)
