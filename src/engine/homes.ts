import {readdir} from 'node:fs/promises'
import {join} from 'node:path'

import {remove, rename, syncDirectory} from '../host/durable.ts'
import {ioError, makePrivateDirectory, pathExists, readIfExists, writeFileAtomic} from '../host/files.ts'
import {configDirectory} from '../host/paths.ts'
import type {HomeAccess, HomeCredentials} from '../hypervisor/home-servers.ts'
import {systemCode, VmctlError} from '../model/errors.ts'
import {localHome} from '../model/home.ts'
import {suggest, isVmName} from '../model/names.ts'

/** Where VMs can live that is not this host; the `--json` shape of an element of `vmctl home ls`. */
export interface Home {
  readonly name: string
  /** `https://10.0.0.11:8443`, or `unix:` with the path of a socket. */
  readonly addresses: readonly string[]
  /** SHA-256 of the certificate of the server. */
  readonly fingerprint?: string
  readonly project?: string
}

/** The record in the directory of a home; beside it are its certificate and its key. */
interface HomeRecord extends Omit<Home, 'name'> {
  readonly schema: 1
  readonly kind: 'incus'
}

export interface HomePlace {
  /** The directory of all homes. */
  readonly homes: string
  readonly name: string
}

const files = {record: 'home.json', certificate: 'client.crt', key: 'client.key'} as const

export const isHomeName = (name: string): boolean => isVmName(name) && name !== localHome

export const homesDirectory = (env: NodeJS.ProcessEnv): string => join(configDirectory(env), 'vmctl', 'homes')

export const homeDirectory = ({homes, name}: HomePlace): string => join(homes, name)

/** Where a home is made until its server trusts it. What a killed command has left is gone on with: a token is good for once. */
export const unfinishedDirectory = ({homes, name}: HomePlace): string => join(homes, `.new-${name}`)

export const listHomeNames = async (homes: string): Promise<readonly string[]> => {
  try {
    return (await readdir(homes)).filter(isHomeName).toSorted()
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return []
    throw ioError('read', homes, error)
  }
}

/** @throws VmctlError `vmctl::home::record_damaged` */
export const readHome = async (place: HomePlace): Promise<Home | undefined> => {
  const path = join(homeDirectory(place), files.record)
  const text = isHomeName(place.name) ? await readIfExists(path) : undefined
  if (text === undefined) {
    if (!isHomeName(place.name) || !(await pathExists(homeDirectory(place)))) return undefined
    throw damaged(place, `${path} is missing`)
  }
  const record = recordIn(text)
  if (!record) throw damaged(place, `${path} cannot be read`)
  const {addresses, fingerprint, project} = record
  return {name: place.name, addresses, ...(fingerprint !== undefined && {fingerprint}), ...(project !== undefined && {project})}
}

const damaged = ({name}: HomePlace, why: string): VmctlError =>
  new VmctlError('vmctl::home::record_damaged', `The record of the home ${name} is damaged: ${why}.`)

const recordIn = (text: string): HomeRecord | undefined => {
  try {
    const said = JSON.parse(text) as Partial<HomeRecord>
    const {addresses, fingerprint, project} = said
    const isText = (value: unknown): value is string => typeof value === 'string'
    const isWhole =
      Array.isArray(addresses) &&
      addresses.length > 0 &&
      addresses.every((one) => isText(one) && accessOf(one) !== undefined) &&
      [fingerprint, project].every((one) => one === undefined || isText(one))
    return isWhole ? (said as HomeRecord) : undefined
  } catch {
    return undefined
  }
}

/** @throws VmctlError `vmctl::home::not_found` with what there is */
export const requireHome = async (place: HomePlace): Promise<Home> => {
  const home = await readHome(place)
  if (home) return home
  const names = await listHomeNames(place.homes)
  const help = suggest(place.name, names) ?? (names.length === 0 ? 'Make one: `vmctl home add NAME URL --token -`.' : undefined)
  throw new VmctlError('vmctl::home::not_found', `There is no home ${JSON.stringify(place.name)}.`, {
    ...(help !== undefined && {help}),
  })
}

/** How the server of a home is reached. @throws VmctlError `vmctl::home::not_found`, `vmctl::home::record_damaged` */
export const homeAccess = async (place: HomePlace): Promise<HomeAccess> => {
  const home = await requireHome(place)
  const credentials = await readCredentials(homeDirectory(place))
  if (!credentials && home.fingerprint !== undefined) throw damaged(place, `its key is missing in ${homeDirectory(place)}`)
  return accessFrom(home, credentials)
}

export const accessFrom = ({addresses, fingerprint, project}: Omit<Home, 'name'>, credentials?: HomeCredentials): HomeAccess => ({
  addresses: addresses.flatMap((address) => accessOf(address) ?? []),
  fingerprint,
  project,
  credentials,
})

const defaultPort = 8443

/** An address as it is on record; undefined for what is none. A URL without a port means the one that Incus has. */
export const addressOf = (written: string): string | undefined => {
  if (/^unix:\/./.test(written)) return written.replace(/^unix:\/{2,}/, 'unix:/')
  if (written.startsWith('/')) return `unix:${written}`
  const withScheme = /^[a-z]+:\/\//i.test(written) ? written : `https://${written}`
  if (!URL.canParse(withScheme)) return undefined
  const url = new URL(withScheme)
  if (url.protocol !== 'https:' || url.hostname === '' || url.username !== '' || url.pathname !== '/' || url.search !== '') return undefined
  // URL drops the port that https has by itself.
  const hasPort = /:\d+\/?$/.test(withScheme)
  return hasPort ? (url.port === '' ? `https://${url.hostname}:443` : url.origin) : `https://${url.hostname}:${defaultPort}`
}

const accessOf = (address: string): HomeAccess['addresses'][number] | undefined => {
  if (address.startsWith('unix:/')) return {socket: address.slice('unix:'.length)}
  return addressOf(address) === address ? {url: address} : undefined
}

export const readCredentials = async (directory: string): Promise<HomeCredentials | undefined> => {
  const [certificate, key] = [await readIfExists(join(directory, files.certificate)), await readIfExists(join(directory, files.key))]
  return certificate === undefined || key === undefined ? undefined : {certificate, key}
}

/** Makes the directory in which a home comes to be, with what it will be known by. */
export const beginHome = async (place: HomePlace, make: () => HomeCredentials): Promise<HomeCredentials> => {
  const directory = unfinishedDirectory(place)
  await makePrivateDirectory(directory)
  const known = await readCredentials(directory)
  if (known) return known
  const made = make()
  await writeFileAtomic(join(directory, files.key), made.key)
  await writeFileAtomic(join(directory, files.certificate), made.certificate, 0o644)
  return made
}

/** Puts the record of a home that is new, or that has changed, in its place. */
export const keepHome = async (place: HomePlace, {name: _name, ...home}: Home): Promise<void> => {
  const record: HomeRecord = {schema: 1, kind: 'incus', ...home}
  const text = `${JSON.stringify(record, undefined, 2)}\n`
  const directory = homeDirectory(place)
  if (await pathExists(directory)) return writeFileAtomic(join(directory, files.record), text)
  const unfinished = unfinishedDirectory(place)
  await makePrivateDirectory(unfinished)
  await writeFileAtomic(join(unfinished, files.record), text)
  await rename(unfinished, directory)
  await syncDirectory(place.homes)
}

/** Removes a home with its key, whole or not at all. */
export const forgetHome = async (place: HomePlace): Promise<void> => {
  const gone = join(place.homes, `.gone-${place.name}`)
  await remove(gone)
  await remove(unfinishedDirectory(place))
  if (!(await pathExists(homeDirectory(place)))) return
  await rename(homeDirectory(place), gone)
  await syncDirectory(place.homes)
  await remove(gone)
}
