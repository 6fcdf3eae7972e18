import type {Read} from '../grammar/shapes.ts'
import type {Span} from '../kdl/report.ts'
import type {Context} from '../resolve/context.ts'
import type {healthcheckNode} from './healthcheck.ts'
import type {provisionNode} from './provision.ts'
import type {sshNode} from './ssh.ts'
import type {volumeNode} from './volume.ts'

interface ReadVm {
  readonly ssh: Read<typeof sshNode>
  readonly provision: Read<typeof provisionNode>
  readonly healthcheck: Read<typeof healthcheckNode>
  readonly dockerfile: Span | undefined
  readonly env: ReadonlyMap<string, Span>
  readonly share: readonly Span[]
  readonly volume: Read<typeof volumeNode>
}

/** Refuses what vmctl does in a guest by shell programs, where `ssh { shell #false }` says that there is no shell. */
export const refuseWithoutShell = (
  {ssh, provision, healthcheck, dockerfile, env, share, volume}: ReadVm,
  report: Context['report'],
): void => {
  if (ssh?.fields.shell?.value !== false) return
  const refuse = (place: Span | undefined, what: string, hint = 'leave it out, or shell #false'): void => {
    if (place) report.error(place, `${what} needs a shell in the guest, which shell #false denies`, hint)
  }
  for (const step of provision) {
    // Nobody knows what a plugin needs; its step ends with an error when that is a shell.
    if (step.type === 'extension') continue
    if (step.type !== 'file') refuse(step, `provision "${step.type}"`, 'a guest without a shell takes provision "file" only')
    else {
      const {owner, privileged} = step.fields
      refuse(owner, 'another owner')
      if (privileged.value) refuse(privileged, 'working as root')
    }
  }
  refuse(healthcheck?.fields.test[0], 'a test by a program', 'tcp PORT and http "URL" need none')
  refuse(dockerfile, 'a Dockerfile')
  refuse([...env.values()][0], 'env')
  refuse(share[0], 'a share')
  for (const {fields: mount} of volume) refuse(mount.target, 'mounting a volume', 'filesystem "none" leaves the disk to the guest')
}
