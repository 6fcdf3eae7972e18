import {join} from 'node:path'

import {acquireLock, type Lock} from '../../host/lock.ts'
import type {HomeToken} from '../../hypervisor/home-servers.ts'
import {isFailure, messageOf, VmctlError} from '../../model/errors.ts'
import {localHome} from '../../model/home.ts'
import {vmNameRule} from '../../model/names.ts'
import {listVms} from '../../store/store.ts'
import type {Engine} from '../engine.ts'
import {
  accessFrom,
  addressOf,
  beginHome,
  forgetHome,
  type Home,
  homeAccess,
  homeDirectory,
  type HomePlace,
  homesDirectory,
  isHomeName,
  keepHome,
  listHomeNames,
  readCredentials,
  readHome,
  requireHome,
} from '../homes.ts'

export interface NewHome {
  readonly name: string
  /** As they were typed; those of the token, or those that the home has, when there are none. */
  readonly addresses: readonly string[]
  readonly token?: string | undefined
  readonly project?: string | undefined
  /** Whether the server may have another certificate than before. */
  readonly renew: boolean
}

const placeOf = ({env}: Engine, name: string): HomePlace => ({homes: homesDirectory(env), name})

/** The homes that there are, and in words which could not be read. */
export const listHomes = async (engine: Engine): Promise<{readonly homes: readonly Home[]; readonly problems: readonly string[]}> => {
  const problems: string[] = []
  const names = await listHomeNames(homesDirectory(engine.env))
  const homes = await Promise.all(
    names.map((name) =>
      readHome(placeOf(engine, name)).catch((error: unknown) => {
        problems.push(messageOf(error))
        return undefined
      }),
    ),
  )
  return {homes: homes.filter((home) => home !== undefined), problems}
}

/**
 * Makes a server trust this user, and remembers it as a home; or changes the one of that name. It may be repeated: after a kill it
 * goes on with the key that the server may trust already.
 * @returns the home, and whether it is new
 */
export const addHome = async (engine: Engine, wanted: NewHome): Promise<{readonly home: Home; readonly isNew: boolean}> => {
  const {name} = wanted
  if (!isHomeName(name)) {
    const why = name === localHome ? `${localHome} means this host` : vmNameRule
    throw new VmctlError('vmctl::usage::invalid', `A home cannot be called ${JSON.stringify(name)}: ${why}.`)
  }
  const place = placeOf(engine, name)
  const servers = await engine.homeServers()
  const token = wanted.token === undefined ? undefined : servers.readToken(wanted.token)
  await using _lock = await lockHome(engine, name, 'home add')
  const known = await readHome(place)
  const server = serverOf(wanted, {token, known})
  const credentials =
    server.fingerprint === undefined
      ? undefined
      : ((await readCredentials(homeDirectory(place))) ?? (await beginHome(place, () => servers.makeCredentials(name))))
  const {signal} = engine
  const project = wanted.project ?? known?.project
  const joined = await servers.join(accessFrom({...server, ...(project !== undefined && {project})}, credentials), {
    signal,
    token: wanted.token,
    notify: (message) => void engine.emit({type: 'vm.notice', message}),
  })
  const home: Home = {name, ...server, ...joined}
  await keepHome(place, home)
  return {home, isNew: known === undefined}
}

interface Known {
  readonly token: HomeToken | undefined
  readonly known: Home | undefined
}

/** Where the server is and what it is known by, from what was typed, from the token, and from what is on record. */
const serverOf = (wanted: NewHome, {token, known}: Known): Pick<Home, 'addresses' | 'fingerprint'> => {
  const addresses = addressesOf(wanted, {token, known})
  const isSocket = addresses.every((address) => address.startsWith('unix:'))
  const fingerprint = isSocket ? undefined : (token?.fingerprint ?? known?.fingerprint)
  if (!isSocket && fingerprint === undefined) {
    throw new VmctlError(
      'vmctl::usage::invalid',
      'A token is missing: without it, neither does the server know vmctl nor vmctl the server.',
      {
        help: `On the server \`incus config trust add ${wanted.name}\` prints one; give it to \`vmctl home add ${wanted.name} … --token -\` on standard input.`,
      },
    )
  }
  if (known) checkSame(known, fingerprint, wanted)
  return {addresses, ...(fingerprint !== undefined && {fingerprint})}
}

const addressesOf = ({name, addresses}: NewHome, {token, known}: Known): readonly string[] => {
  const typed = addresses.map((written) => {
    const address = addressOf(written)
    if (address !== undefined) return address
    throw new VmctlError('vmctl::usage::invalid', `${JSON.stringify(written)} is no address of an Incus server.`, {
      help: 'Write it as https://10.0.0.11:8443, or as unix:/var/lib/incus/unix.socket.',
    })
  })
  const told = token?.urls.flatMap((url) => addressOf(url) ?? []) ?? known?.addresses ?? []
  const chosen = [...new Set(typed.length > 0 ? typed : told)]
  if (chosen.length === 0) {
    throw new VmctlError('vmctl::usage::invalid', 'The address of the server is missing.', {
      help: `\`vmctl home add ${name} https://…:8443 --token -\``,
    })
  }
  if (new Set(chosen.map((address) => address.startsWith('unix:'))).size === 1) return chosen
  throw new VmctlError('vmctl::usage::invalid', 'A home is reached by a Unix socket or by https, not by both.')
}

/** VMs that live in a home are not to find themselves on another server. */
const checkSame = ({name, fingerprint: before}: Home, fingerprint: string | undefined, {renew}: NewHome): void => {
  if (before === fingerprint || (renew && before !== undefined && fingerprint !== undefined)) return
  const [was, is] = [before, fingerprint].map((one) => (one === undefined ? 'by a Unix socket' : `on a server with the certificate ${one}`))
  throw new VmctlError('vmctl::home::exists', `There is a home ${name} already, ${was}, and this one is ${is}.`, {
    help: 'If it is the same server, whose certificate was renewed, give `--renew`; else choose another name, or remove that home first.',
  })
}

export interface RemovedHome {
  readonly removed: string
  /** Why the server still knows this home, if it does. */
  readonly remains?: string
}

/** Forgets a home, and has its server forget it. @throws VmctlError `vmctl::home::in_use` while VMs live there, unless forced */
export const removeHome = async (engine: Engine, name: string, {force}: {readonly force: boolean}): Promise<RemovedHome> => {
  const place = placeOf(engine, name)
  await using _lock = await lockHome(engine, name, 'home rm')
  // One that cannot be read is removed too.
  await requireHome(place).catch((error: unknown) => {
    if (!isFailure(error, 'vmctl::home::record_damaged')) throw error
  })
  const vms = (await listVms(engine.store)).filter((vm) => vm.spec.home?.name === name).map((vm) => vm.name)
  if (vms.length > 0 && !force) {
    throw new VmctlError('vmctl::home::in_use', `The home ${name} has VMs: ${vms.join(', ')}.`, {details: {vms}})
  }
  const remains = await leave(engine, place)
  await forgetHome(place)
  return {removed: name, ...(remains !== undefined && {remains})}
}

const leave = async (engine: Engine, place: HomePlace): Promise<string | undefined> => {
  try {
    const servers = await engine.homeServers()
    await servers.leave(await homeAccess(place), {signal: engine.signal})
    return undefined
  } catch (error) {
    engine.signal.throwIfAborted()
    return messageOf(error)
  }
}

const lockMs = 30_000

const lockHome = ({store, signal, lockTimeoutMs = lockMs}: Engine, name: string, purpose: string): Promise<Lock> =>
  acquireLock(join(store.lockDirectory, `home-${name}`), {purpose: `${purpose} ${name}`, timeoutMs: lockTimeoutMs, signal})
