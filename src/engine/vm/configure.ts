import {isDeepStrictEqual} from 'node:util'

import {exec} from '../../guest/commands.ts'
import {unfitForLogin} from '../../guest/setup/environment.ts'
import {setupHashes, setupNotes, setupScript} from '../../guest/setup/script.ts'
import type {GuestConnection} from '../../guest/ssh/connection.ts'
import {lastLines} from '../../host/process.ts'
import {VmctlError} from '../../model/errors.ts'
import {shellFromInput} from '../../model/guest-program.ts'
import {stripControls} from '../../model/strip.ts'
import type {Vm} from '../../model/vm.ts'
import type {Engine} from '../engine.ts'
import {setupOf} from '../make/attach.ts'
import type {Records} from './records.ts'

/**
 * Brings a guest to what its stack gives it, and checks that it is so: after each start, and when it has changed.
 * @throws VmctlError `vmctl::guest::setup_failed` with what the guest said
 */
export const configureGuest = async (
  engine: Engine,
  vm: Vm,
  {connection, records}: {readonly connection: GuestConnection; readonly records: Records},
): Promise<void> => {
  const setup = await setupOf(engine, vm.spec)
  const hashes = setupHashes(setup)
  const {guest} = records
  if (Object.keys({...hashes, ...guest.setup}).length === 0) return
  if (!connection.hasShell) {
    if (isDeepStrictEqual(guest.setup, hashes)) return
    await records.writeGuest({...guest, setup: hashes})
    const message = `it has no shell, so these are not set up in the guest: ${Object.keys(hashes).join(', ')}`
    await engine.emit({type: 'vm.notice', vm: vm.name, message})
    return
  }
  const {exitCode, stderr} = await exec(connection, shellFromInput('vmctl-setup'), {
    stdin: setupScript(setup),
    privileged: true,
    signal: engine.signal,
  })
  if (exitCode !== 0) {
    const said = lastLines(stripControls(stderr).replaceAll(/^vmctl-setup: (?:note: )?/gm, ''), 5) || `the shell ended with ${exitCode}`
    throw new VmctlError('vmctl::guest::setup_failed', `The guest of ${vm.name} could not be set up: ${said}`)
  }
  if (!isDeepStrictEqual(guest.setup, hashes)) await records.writeGuest({...guest, setup: hashes})
  for (const message of setupNotes(stripControls(stderr))) await engine.emit({type: 'vm.notice', vm: vm.name, message})
  const unfit = unfitForLogin(setup.environment)
  if (unfit.length > 0) {
    const message = `${unfit.join(', ')} of its env cannot stand in /etc/environment (a "#", a line break, or too long): steps and health checks have it, logins do not`
    await engine.emit({type: 'vm.notice', vm: vm.name, message})
  }
}
