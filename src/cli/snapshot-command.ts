import * as Args from '@oclif/core/args'

import type {Engine} from '../engine/engine.ts'
import type {Wanted} from '../engine/snapshot/common.ts'
import {VmfileCommand} from './vmfile-command.ts'

/** The name of a snapshot, and then VMs. */
export const snapshotArguments = {
  snapshot: Args.string({description: 'Name of the snapshot.', required: true}),
  names: Args.string({
    multiple: true,
    description: 'VMs, services or a project, of which the snapshot is; those of the VMFile when none is named.',
  }),
}

/** A command about one snapshot that exists. */
export abstract class SnapshotCommand extends VmfileCommand {
  /** Outside of a project any VM may be meant. */
  protected async wanted(
    engine: Engine,
    {snapshot, names = []}: {readonly snapshot: string; readonly names?: readonly string[] | undefined},
    file: string | undefined,
  ): Promise<Wanted> {
    if (names.length > 0) return {name: snapshot, vms: await this.createdVms(engine, names, file)}
    const vmfile = await this.vmfileIfAny(engine, file, false)
    return {name: snapshot, vms: [], scope: vmfile?.vms.map(({name}) => name)}
  }
}
