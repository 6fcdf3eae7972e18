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
    '<%= config.bin %> <%= command.id %> --save',
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
    save: Flags.boolean({
      allowNo: true,
      exclusive: ['destroy'],
      summary:
        'Keep the memory of the guests on disk, of all of them as of one instant: `vmctl up` goes on there. With --no-save they power off, also those that are saved.',
    }),
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
        save: given.save,
        volumes: given.volumes,
        parallel: given.parallel,
        removeOrphans: given['remove-orphans'],
      },
      given.destroy || given.volumes || given['remove-orphans']
        ? (vms) => ({
            what: `down removes ${things({vms: given.destroy || given['remove-orphans'], volumes: given.volumes})}:`,
            vms: given.destroy ? vms.map(({name}) => name) : [],
            volumes: given.volumes ? volumesOf(vms) : [],
            instead: '`vmctl down` alone powers VMs off, and keeps their disks and volumes.',
            yes: given.yes,
          })
        : undefined,
    )
  }
}

const volumesOf = (vms: readonly VmSpec[]): readonly string[] => [
  ...new Set(vms.flatMap(({volumes = []}) => volumes.map(({volume}) => volume.id))),
]

/** What goes, for a question. */
const things = (goes: {readonly vms: boolean; readonly volumes: boolean}): string =>
  [
    ...(goes.vms ? ['these VMs with their disks, keys and logs'] : []),
    ...(goes.volumes ? ['these volumes with everything on them'] : []),
  ].join(', and ')
