import {readFile, stat} from 'node:fs/promises'

import {examineSeedFile} from '../../guest/seed/user-data.ts'
import {readIfExists} from '../../host/files.ts'
import {hashFile} from '../../host/hash.ts'
import {resolvePath} from '../../host/paths.ts'
import {readOciReference} from '../../image/url.ts'
import {VmctlError} from '../../model/errors.ts'
import {builtInCatalogue} from '../../model/catalogue-entries.ts'
import {
  catalogueNames,
  findCatalogueImage,
  type Firmware,
  looksLikeImagePath,
  type Publisher,
  referenceOf,
  seedProblem,
} from '../../model/catalogue.ts'
import {isHostname, suggest} from '../../model/names.ts'
import {ociScheme, showOciReference} from '../../model/oci-reference.ts'
import {localHome} from '../../model/home.ts'
import {formatSize} from '../../model/quantity.ts'
import type {CloudInitConfig} from '../../model/cloud-init.ts'
import type {ImageReference, SshConfig, VmSpec} from '../../model/vm.ts'
import {memoryLimits, leastDiskBytes, vcpuLimits} from '../../model/limits.ts'
import {classifyKeys, keyLines} from '../../model/public-key.ts'

/** The options of `vmctl create`; paths as the user wrote them. */
export interface SpecOptions {
  readonly name: string
  /** A path, a URL, or a name such as `debian:12`. */
  readonly image?: string | undefined
  readonly imageUrl?: string | undefined
  readonly vcpus?: number | undefined
  readonly memoryBytes?: number | undefined
  readonly diskBytes?: number | undefined
  readonly bridge?: string | undefined
  /** Path of a user-data file; wins over `sshKey`. */
  readonly userData?: string | undefined
  /** Path of a public key. */
  readonly sshKey?: string | undefined
  readonly uefi?: boolean | undefined
  /** The name of the home; this host when absent. */
  readonly home?: string | undefined
  /** The images that have a name; those that vmctl brings when absent. */
  readonly catalogue?: readonly Publisher[] | undefined
  /** Where relative paths start. */
  readonly directory: string
}

/** Makes a spec from options instead of a VMFile, with the same defaults and checks. */
export const specFromOptions = async (options: SpecOptions): Promise<VmSpec> => {
  const memoryMiB = (options.memoryBytes ?? memoryLimits.default) / 2 ** 20
  if (!Number.isInteger(memoryMiB) || memoryMiB < memoryLimits.least / 2 ** 20) {
    throw new VmctlError(
      'vmctl::usage::invalid',
      `A VM needs whole megabytes of memory, ${memoryLimits.least / 2 ** 20} at least; not ${memoryMiB}.`,
    )
  }
  if (options.diskBytes !== undefined && options.diskBytes < leastDiskBytes) {
    throw new VmctlError('vmctl::usage::invalid', `A disk has 1 MB at least, not ${formatSize(options.diskBytes)}.`)
  }
  const login = await loginOf(options)
  return {
    name: options.name,
    ...(options.home !== undefined && options.home !== localHome && {home: {name: options.home}}),
    image: await imageOf(options),
    vcpus: options.vcpus ?? vcpuLimits.default,
    memoryMiB,
    ...(options.diskBytes !== undefined && {diskBytes: options.diskBytes}),
    network: options.bridge === undefined ? {type: 'user'} : {type: 'tap', bridge: options.bridge},
    ...login,
    ...(options.uefi && {firmware: {type: 'uefi', secureBoot: false}}),
    provision: [],
  }
}

const imageOf = async ({image, imageUrl, directory, catalogue = builtInCatalogue, uefi}: SpecOptions): Promise<ImageReference> => {
  if (image !== undefined && imageUrl !== undefined) {
    throw new VmctlError('vmctl::usage::invalid', 'Both --image and --image-url are given.', {help: 'Use one of them.'})
  }
  if (imageUrl !== undefined) return {kind: 'url', source: normalUrl(imageUrl)}
  if (image === undefined) throw new VmctlError('vmctl::create::no_image', 'No image is given.')
  const reference = await imageNamed(image, {directory, catalogue, firmware: uefi ? 'uefi' : 'bios'})
  const named = reference.kind === 'name' ? findCatalogueImage(catalogue, reference.source) : undefined
  const problem = named && seedProblem(named)
  if (problem !== undefined)
    throw new VmctlError('vmctl::image::refused', `No VM can be made from ${image}: ${problem}.`, {help: 'Use another image.'})
  return reference
}

/**
 * An image as it is named on the command line: a path, a URL, or a name such as `debian:12`.
 * @throws VmctlError `vmctl::image::not_found`
 */
export const imageNamed = async (
  image: string,
  {
    directory,
    catalogue,
    firmware,
  }: {readonly directory: string; readonly catalogue: readonly Publisher[]; readonly firmware?: Firmware | undefined},
): Promise<ImageReference> => {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(image)) return {kind: 'url', source: normalUrl(image)}
  const source = resolvePath(image, directory)
  const info = await stat(source).catch(() => undefined)
  if (info?.isFile()) return {kind: 'file', source}
  if (looksLikeImagePath(image)) {
    throw new VmctlError('vmctl::image::not_found', `There is no image file ${source}.`)
  }
  const named = findCatalogueImage(catalogue, image)
  if (named) return referenceOf(named, firmware)
  const more = 'Name a file with its path (./image.qcow2), a URL, or a name of the catalogue; `vmctl image search` shows those.'
  throw new VmctlError('vmctl::image::not_found', `${JSON.stringify(image)} is neither a file nor the name of an image.`, {
    help: suggest(image, catalogueNames(catalogue), more) ?? more,
  })
}

/** A reference into a registry has one form, as in a VMFile; of any other URL, whoever fetches it knows what is right. */
const normalUrl = (text: string): string => (text.startsWith(ociScheme) ? `${ociScheme}${showOciReference(readOciReference(text))}` : text)

/** A guest that vmctl can enter: with its own key beside the one that is given, unless user-data of the user's own has the say. */
const loginOf = async ({name, userData, sshKey, directory}: SpecOptions): Promise<{cloudInit: CloudInitConfig; ssh?: SshConfig}> => {
  const hostname = isHostname(name) ? name : name.replaceAll(/[^A-Za-z0-9-]+/g, '-').replaceAll(/^-+|-+$/g, '')
  const keyPath = sshKey === undefined ? undefined : resolvePath(sshKey, directory)
  const sshKeys = keyPath === undefined ? [] : await readPublicKeys(keyPath)
  const privateKeyPath = keyPath === undefined ? undefined : await privateHalf(keyPath)
  if (userData !== undefined) {
    const path = resolvePath(userData, directory)
    await checkUserData(path)
    const userDataFile = {path, sha256: await hashFile(path)}
    return {cloudInit: {hostname, sshKeys: [], userData: userDataFile}, ...(privateKeyPath !== undefined && {ssh: {privateKeyPath}})}
  }
  return {cloudInit: {hostname, sshKeys}, ssh: privateKeyPath === undefined ? {} : {privateKeyPath}}
}

/** The private key that stands beside a public one by ssh-keygen's convention. */
const privateHalf = async (publicPath: string): Promise<string | undefined> => {
  const path = publicPath.replace(/\.pub$/, '')
  if (path === publicPath) return undefined
  return stat(path).then(
    () => path,
    () => undefined,
  )
}

/** What cloud-init would pass over in silence. A file that cannot be read is told by whoever hashes it. */
const checkUserData = async (path: string): Promise<void> => {
  const bytes = await readFile(path).catch(() => undefined)
  const problem = bytes && examineSeedFile('user-data', bytes).find(({severity}) => severity === 'error')
  if (problem) throw new VmctlError('vmctl::usage::invalid', `${path}: ${problem.message}.`, {help: `${problem.hint}.`})
}

const readPublicKeys = async (path: string): Promise<string[]> => {
  const text = await readIfExists(path)
  if (text === undefined) throw new VmctlError('vmctl::usage::invalid', `There is no public key file ${path}.`)
  if (classifyKeys(text) !== 'public') {
    throw new VmctlError('vmctl::ssh::key_unusable', `${path} is not an SSH public key.`, {
      help: 'Give the public half of a key pair, the file that ends in .pub.',
    })
  }
  return [...keyLines(text)]
}
