import {removeSnapshot as removeRecord} from '../../store/snapshots.ts'
import type {Engine} from '../engine.ts'
import {lockVms} from '../vm/several.ts'
import {findWanted, requireVms, tidyUp, type Wanted} from './common.ts'

/** A snapshot that is no more; the `--json` shape of `snapshot rm`. */
export interface RemovedSnapshot {
  readonly name: string
  readonly vms: readonly string[]
  /** VMs whose disks keep its layers until they are at rest. */
  readonly waiting: readonly string[]
}

/** Forgets a snapshot of all of its VMs. The VMs stay as they are. */
export const removeSnapshot = async (engine: Engine, wanted: Wanted): Promise<RemovedSnapshot> => {
  const {name} = wanted
  const {snapshot} = await findWanted(engine, wanted)
  const names = snapshot.members.map(({vm}) => vm)
  await using _locks = await lockVms(engine, names, `vmctl snapshot rm ${name}`)
  const {id} = (await findWanted(engine, {name, vms: names})).snapshot
  const all = await requireVms(engine, names)
  await removeRecord(engine.store, id)
  return {name, vms: names, waiting: await tidyUp(engine, all)}
}
