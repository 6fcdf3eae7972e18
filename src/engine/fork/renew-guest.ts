import {setTimeout as sleep} from 'node:timers/promises'

import {correctClock} from '../../guest/clock.ts'
import {generateKeyPair, knownHostsKey, knownHostsLine} from '../../guest/keys/keys.ts'
import {readIfExists, writeFileAtomic} from '../../host/files.ts'
import {isFailure} from '../../model/errors.ts'
import {vmFiles} from '../../model/layout.ts'
import {canLogIn} from '../../model/login.ts'
import {noopBackend, type Vm} from '../../model/vm.ts'
import type {Engine} from '../engine.ts'
import {seedContentOf} from '../make/attach.ts'
import {renewSeed} from '../make/seed.ts'
import {hostKeyAlias} from '../reach/identity.ts'
import {waitForGuest} from '../reach/wait.ts'
import {seedGiver} from '../vm/give-seed.ts'
import {requireIdentity} from '../vm/own-identity.ts'

/** Whether there is a guest that vmctl can enter. */
export const isReachable = (vm: Vm): boolean => canLogIn(vm.spec) && vm.backend !== noopBackend

/** A guest that goes on is behind by less than this, in seconds: what it takes to make a fork. */
const mostBehindSeconds = 600

/**
 * Makes another guest of one that goes on from the memory of a guest: it shows another host key from the next connection on, has another
 * machine-id, the right time, and a seed that says the same. It is reached by its own interface alone until then.
 */
export const renewGuest = async (engine: Engine, vm: Vm, former: Pick<Vm, 'id'>): Promise<void> => {
  if (!isReachable(vm)) return
  const {knownHosts} = vmFiles(vm.directory)
  const alias = hostKeyAlias(vm)
  const formerKey = knownHostsKey((await readIfExists(knownHosts)) ?? '', hostKeyAlias(former))
  if (formerKey !== undefined) await writeFileAtomic(knownHosts, `${knownHostsLine(alias, formerKey)}\n`)
  const hostKey = generateKeyPair(`${vm.name} host key`, vm.spec.ssh?.keyType)
  const {networks: _networks, ...alone} = vm.spec
  const lone: Vm = {...vm, spec: alone}
  const {connection} = await waitForGuest(engine, lone, {cloudInit: false})
  try {
    const {signal} = engine
    await Promise.all([
      requireIdentity(connection, {name: vm.name, id: vm.id, hostKey, signal}),
      correctClock(connection, {mostSeconds: mostBehindSeconds, signal}),
    ])
  } finally {
    connection.close()
  }
  await renewSeed(vm, {...(await seedContentOf(engine, vm)), hostKey}, seedGiver(engine, vm))
  await awaitOwnKey(engine, lone)
}

/** How long an SSH server that starts anew may show its former key, in milliseconds. */
const formerKeyMs = 60_000

/** A server that was told to read its keys again does so in a moment, and takes no connection in between. */
const awaitOwnKey = async (engine: Engine, vm: Vm): Promise<void> => {
  const deadline = performance.now() + formerKeyMs
  for (;;) {
    try {
      const {connection} = await waitForGuest(engine, vm, {cloudInit: false})
      connection.close()
      return
    } catch (error) {
      if (!isFailure(error, 'vmctl::ssh::host_key_mismatch') || performance.now() > deadline) throw error
      await sleep(100, undefined, {signal: engine.signal})
    }
  }
}
