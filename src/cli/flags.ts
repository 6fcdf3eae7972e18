import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'

import {isLoginName, isUserName} from '../model/names.ts'
import {parseDuration, parseSize} from '../model/quantity.ts'
import type {Request} from '../engine/plan/vm-plan.ts'

/** `--file`/`-f`; VMCTL_FILE and the nearest VMFile.kdl are looked at when it is absent. */
const vmfile = {summary: 'Path of the VMFile, instead of $VMCTL_FILE or the VMFile.kdl here or above.', helpValue: 'PATH'} as const

export const file = Flags.string({char: 'f', ...vmfile})

/** Of a command in which `-f` is another flag. */
export const fileInFull = Flags.string(vmfile)

/** Where new VMs live; VMCTL_HOME and the VMFile are looked at when it is absent. */
export const home = Flags.string({
  summary: 'Home of the VMs, as `vmctl home ls` shows them, instead of $VMCTL_HOME or that of the VMFile; "local" is this host.',
  helpValue: 'NAME',
})

/** `--name`, any number of times. */
export const names = Flags.string({
  multiple: true,
  multipleNonGreedy: true,
  summary: 'Only this VM or service of the VMFile; may be given several times.',
  helpValue: 'NAME',
})

/** The same as arguments. */
export const vmArguments = {
  names: Args.string({multiple: true, description: 'Only these VMs of the VMFile; a service stands for all of its replicas.'}),
}

/** VMs that exist; those of the VMFile when none is named. */
export const existingVms = {
  names: Args.string({
    multiple: true,
    description: 'Names of VMs, of services (all replicas) or of a project (all its VMs); without names, all VMs of the VMFile.',
  }),
}

export const adopt = Flags.boolean({
  summary: 'Take over VMs of these names that `vmctl create` made, or a VMFile that is gone or no longer defines them.',
})

/** The names that were given in either way. */
export const namesOf = (
  args: {readonly names?: readonly string[] | undefined},
  given: {readonly name?: readonly string[] | undefined},
): readonly string[] => [...(args.names ?? []), ...(given.name ?? [])]

export const parallel = Flags.integer({
  min: 1,
  helpValue: 'N',
  summary: 'How many VMs to work on at once (default: twice the number of CPUs).',
})

export const noDependencies = Flags.boolean({summary: 'Leave alone what the named VMs depend on.'})

export const removeOrphans = Flags.boolean({
  summary: 'Also destroy VMs that the VMFile made and no longer defines, with their disks. This cannot be undone.',
})

export const yes = Flags.boolean({char: 'y', summary: 'Ask nothing, also on a terminal.'})

export const timings = Flags.boolean({summary: 'Show a timing chart at the end.'})

export const noProvision = Flags.boolean({summary: 'Skip the provision steps.'})

export const noCache = Flags.boolean({summary: 'Make new VMs from their images, not from layers of provision steps.'})

const checked = (what: string, isValid: (text: string) => boolean, rule: string) =>
  Flags.custom({
    parse: async (input) => {
      if (!isValid(input)) throw new Error(`${JSON.stringify(input)} cannot be the ${what}: ${rule}.`)
      return input
    },
  })

/** A user of the guest who is to be made. */
export const newUser = checked('name of a user', isUserName, 'it starts with a lower-case letter or _ and has at most 32 of a-z 0-9 _ -')

/** A user of the guest who is there. */
export const user = checked('name of a user', isLoginName, 'it has letters, digits and . _ - @ +')

/** A duration in milliseconds: seconds when it is a bare number, as in the vmctl book. */
export const duration = Flags.custom<number>({
  helpValue: 'SECONDS|2m30s',
  parse: async (input) => {
    const milliseconds = parseDuration(input)
    if (milliseconds === undefined) throw new Error(`${input} is not a duration; write seconds, or for example 90s, 2m30s or 500ms.`)
    return milliseconds
  },
})

/** How old something is, in milliseconds: `30d`, `2w`, `12h`. */
export const age = Flags.custom<number>({
  helpValue: '30d|12h',
  parse: async (input) => {
    const [, count, unit] = /^(\d{1,6})([dw])$/.exec(input) ?? []
    const milliseconds =
      count === undefined ? parseDuration(/^\d+$/.test(input) ? '' : input) : Number(count) * (unit === 'w' ? 7 : 1) * dayMs
    if (milliseconds === undefined) throw new Error(`${input} is not an age; write for example 30d, 2w or 12h.`)
    return milliseconds
  },
})

const dayMs = 86_400_000

export const stopTimeout = duration({
  summary: 'How long the guest may take before it is forced off (default: its `stop-grace-period`).',
})

/** For commands that take the lock of a VM. */
export const locking = {
  'lock-timeout': duration({summary: 'How long to wait for another vmctl that works on the VM.'}),
  // It was called --no-wait, as if it were the opposite of `up --wait`.
  'fail-if-locked': Flags.boolean({
    aliases: ['no-wait'],
    summary: 'Fail at once when another vmctl works on the VM.',
    exclusive: ['lock-timeout'],
  }),
}

/** For commands that may have to fetch an image. */
export const fetching = {
  offline: Flags.boolean({summary: 'Fetch nothing: an image that is not in the cache is an error.', env: 'VMCTL_OFFLINE'}),
}

/** For commands that fetch the images of a VMFile. */
export const locked = {
  ...fetching,
  frozen: Flags.boolean({
    allowNo: true,
    summary:
      'Take the images as the lock file has them, and fail when it would have to change (with CI=true the default, if there is one).',
  }),
}

const choices = ['step', 'from', 'rerun', 'all']

const stepNumber = (name: string, summary: string) =>
  Flags.integer({min: 1, helpValue: 'N', summary, exclusive: choices.filter((other) => other !== name)})

/** Which provision steps `vmctl provision` runs. */
export const steps = {
  step: stepNumber('step', 'Run only this step.'),
  from: stepNumber('from', 'Run this step and all after it.'),
  rerun: stepNumber('rerun', 'Run this step again, whatever became of it, then all that is not done.'),
  all: Flags.boolean({summary: 'Run all steps (the default).', exclusive: ['step', 'from', 'rerun']}),
}

/** What `steps` ask for; undefined when none of them is given. */
export const stepRequest = (given: {
  readonly step?: number | undefined
  readonly from?: number | undefined
  readonly rerun?: number | undefined
  readonly all?: boolean
}): Request | undefined => {
  for (const kind of ['step', 'from', 'rerun'] as const) if (given[kind] !== undefined) return {kind, step: given[kind]}
  return given.all ? {kind: 'all'} : undefined
}

const readSize = async (input: string, unitBytes: number): Promise<number> => {
  const bytes = parseSize(input, unitBytes)
  if (bytes === undefined) throw new Error(`${input} is not a size; write a number, or for example 512M or 20G.`)
  return bytes
}

/** A size in bytes; a bare number is in MB. */
export const megabytes = Flags.custom<number>({
  helpValue: 'MB|2G',
  parse: (input) => readSize(input, 2 ** 20),
})

/** A size in bytes; a bare number is in GB. */
export const gigabytes = Flags.custom<number>({helpValue: 'GB|40G', parse: (input) => readSize(input, 2 ** 30)})

export const discardSaved = Flags.boolean({
  summary: 'Boot VMs that are saved from their disks: what their guests have only in memory is lost, as in a power cut.',
})
