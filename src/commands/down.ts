import * as Flags from '@oclif/core/flags'

import {VmfileCommand} from '../cli/vmfile-command.ts'
import * as flags from '../cli/flags.ts'
import type {VmResult} from '../engine/converge/result.ts'
import type {VmSpec} from '../model/vm.ts'

export default class Down extends VmfileCommand {
  static override summary = 'Stop the VMs of a VMFile; with --destroy, remove them.'
  static override description =
    'VMs stop in the reverse order of their `depends-on`. A guest has as long as its `stop-grace-period` says (30 seconds) to power off before it is forced to. Volumes stay unless --volumes is given.'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> web',
    '<%= config.bin %> <%= command.id %> --destroy',
    '<%= config.bin %> <%= command.id %> --destroy --volumes',
  ]
  static override args = flags.vmArguments
  static override flags = {
    ...flags.locking,
    adopt: flags.adopt,
    file: flags.file,
    name: flags.names,
    parallel: flags.parallel,
    'remove-orphans': flags.removeOrphans,
    destroy: Flags.boolean({summary: 'Remove the VMs with their disks, keys and logs. This cannot be undone.'}),
    yes: flags.yes,
    volumes: Flags.boolean({summary: 'Remove the volumes of these VMs too, with everything on them. This cannot be undone.'}),
  }

  async run(): Promise<{readonly vms: readonly VmResult[]}> {
    const {args, flags: given} = await this.parse(Down)
    return this.converge(
      given,
      {
        verb: 'down',
        names: flags.namesOf(args, given),
        adopt: given.adopt,
        provision: false,
        destroy: given.destroy,
        volumes: given.volumes,
        parallel: given.parallel,
        removeOrphans: given['remove-orphans'],
      },
      given.destroy || given.volumes
        ? (vms) => ({
            what: given.destroy ? 'down destroys these VMs with their disks, keys and logs:' : 'down removes these volumes:',
            names: given.destroy ? vms.map(({name}) => name) : [],
            more: given.volumes ? volumesOf(vms) : [],
            yes: given.yes,
          })
        : undefined,
    )
  }
}

/** The volumes of some VMs, as they are told of in a question. */
const volumesOf = (vms: readonly VmSpec[]): readonly string[] => [
  ...new Set(vms.flatMap(({volumes = []}) => volumes.map(({volume}) => `volume ${volume.id}, with everything on it`))),
]
