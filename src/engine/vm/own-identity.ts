import {exec} from '../../guest/commands.ts'
import type {KeyPair} from '../../guest/keys/keys.ts'
import {identityProgram} from '../../guest/seed/identity-program.ts'
import type {GuestConnection} from '../../guest/ssh/connection.ts'
import {lastLines} from '../../host/process.ts'
import {VmctlError} from '../../model/errors.ts'
import {shellFromInput} from '../../model/guest-program.ts'
import {stripControls} from '../../model/strip.ts'

/**
 * Makes sure that a guest that runs is one of its own. Nothing happens when it is.
 * @param hostKey that it is to show from the next connection on; absent for one that has got its own from the seed
 * @throws VmctlError `vmctl::guest::setup_failed` with what the guest said
 */
export const requireIdentity = async (
  connection: Pick<GuestConnection, 'exec'>,
  {name, id, hostKey, signal}: {readonly name: string; readonly id: string; readonly hostKey?: KeyPair; readonly signal: AbortSignal},
): Promise<void> => {
  const {stdout, stderr} = await exec(connection, shellFromInput('vmctl-identity'), {
    stdin: identityProgram(id, hostKey ?? 'stay'),
    privileged: true,
    signal,
  })
  if (stdout.trimEnd().endsWith('own')) return
  const said = lastLines(stripControls(stderr).replaceAll(/^vmctl-identity: /gm, ''), 5) || 'the shell ended early'
  throw new VmctlError('vmctl::guest::setup_failed', `The guest of ${name} could not be given an identity of its own: ${said}`)
}
