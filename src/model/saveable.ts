import {isAlive, type Observation} from './vm.ts'

interface Outside {
  readonly devices?: readonly unknown[] | undefined
  readonly shares?: readonly unknown[] | undefined
}

/** Why the memory of a guest is not all of its state; undefined when it is, as far as its spec tells. */
export const whyUnsaveable = ({devices = [], shares = []}: Outside): string | undefined => {
  if (devices.length > 0) return 'it has a device of the host, whose state nobody can save'
  return shares.length > 0 ? 'it has shared folders, whose open files are on the host' : undefined
}

/** Whether the disks of a VM belong to a guest that goes on: one of which something runs, or whose memory is kept. */
export const ownsDisks = (observation: Pick<Observation, 'pid' | 'crash' | 'state'>): boolean =>
  isAlive(observation) || observation.state === 'saved'
