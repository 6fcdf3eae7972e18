import {createHash} from 'node:crypto'

import {remove, rename} from '../../host/durable.ts'
import type {Architecture, Mirror} from '../../model/catalogue.ts'
import {isFailure, isVmctlError, messageOf, VmctlError} from '../../model/errors.ts'
import {isLoopbackRegistry, type OciReference, ociScheme, showOciReference} from '../../model/oci-reference.ts'
import type {ImageReference} from '../../model/vm.ts'
import {findMismatch, verifyDigests} from '../checksum.ts'
import {HttpFailure, single} from '../http-client.ts'
import {downloadVerified} from '../http-fetch.ts'
import {readAnswer} from '../http-text.ts'
import type {FetchedImage, FetchOptions} from '../image-source.ts'
import {sidecar} from '../partial.ts'
import {readOciReference} from '../url.ts'
import {type ChosenLayer, chooseLayer, chooseManifest} from './choose.ts'
import {checkContainerConfig} from './container-config.ts'
import {unpackDisk} from './container-disk.ts'
import {type Descriptor, digestsOf, type Index, type Manifest, notADisk, parseDocument, quotedType} from './document.ts'
import {acceptedManifests, annotations} from './media-types.ts'
import {notInRegistry, openSession, registryError, type RegistryOptions, type Session} from './session.ts'

export interface OciFetchOptions extends RegistryOptions {
  /** Other places that have what registries have, by the names of those. */
  readonly mirrors: () => Promise<readonly Mirror[]>
}

/**
 * Fetches a disk from a registry: manifest, layer, and the disk out of that when it is an archive. Every byte is compared with a
 * digest, from that of the manifest on.
 */
export const fetchFromRegistry = async (
  image: ImageReference,
  path: string,
  options: OciFetchOptions & FetchOptions,
): Promise<FetchedImage> => {
  const job = await jobOf(image, options)
  const {reference, shown} = job
  await using session = await open(job)
  const {layer, form, digest} = await findLayer(job, session)
  const label = labelOf(reference)
  const pinned = pinnedTo(reference, digest)
  if (form === 'file') {
    const fetched = await fetchDeclared(job, {session, layer, path}, image)
    verifyDigests(shown, image, fetched.digests)
    // A disk that this manifest does not have any more is not to be had by it.
    const isOfManifest = !findMismatch(digestsOf(layer), fetched.digests)
    return {...fetched, label, ...(isOfManifest && {pinned}), name: titleOf(layer)}
  }
  await fetchLayer(job, {session, layer, path})
  const disk = `${path}.member`
  await remove(disk)
  try {
    const unpacked = await unpackDisk(path, disk, {signal: options.signal, shown})
    verifyDigests(shown, image, unpacked.digests)
    // Without it nobody takes the disk for the beginning of a layer.
    await remove(sidecar(path))
    await rename(disk, path)
    return {name: '', label, pinned, etag: layer.digest, ...unpacked}
  } finally {
    await remove(disk)
  }
}

/**
 * The digest of the layer that a tag means now.
 * @returns undefined for a reference by digest, which always means the same
 */
export const layerInRegistry = async (image: ImageReference, options: OciFetchOptions & FetchOptions): Promise<string | undefined> => {
  const job = await jobOf(image, options)
  if (job.reference.digest !== undefined) return undefined
  await using session = await open(job)
  // Awaited here, or the session would be gone too early.
  const {layer} = await findLayer(job, session)
  return layer.digest
}

const jobOf = async (image: ImageReference, options: OciFetchOptions & FetchOptions): Promise<Job> => {
  const reference = readOciReference(image.source)
  return {
    reference,
    shown: showOciReference(reference),
    architecture: image.architecture ?? 'x86_64',
    options: {...options, insecure: image.insecure},
    mirror: (await options.mirrors()).find(({publisher}) => publisher === reference.registry),
  }
}

/** At the registry, or at the mirror that has all of it. */
const open = async ({reference, shown, options, mirror}: Job): Promise<Session> => {
  const whole = mirror?.isComplete ? mirror.origin : undefined
  if (whole?.startsWith('http:') && reference.digest === undefined && !isLoopbackRegistry(new URL(whole).host)) {
    throw new VmctlError('vmctl::usage::invalid', `${shown} would come by http from its mirror, with nothing to compare it with.`, {
      help: 'Give the mirror an https URL in images.kdl, or the image its digest: `oci://…@sha256:…`.',
    })
  }
  return openSession(reference, {...options, actions: 'pull', mirror: whole})
}

interface Job {
  readonly reference: OciReference
  readonly shown: string
  readonly architecture: Architecture
  readonly options: OciFetchOptions & FetchOptions
  readonly mirror: Mirror | undefined
}

/** Where this manifest stays to be had, whatever its tag comes to mean. */
const pinnedTo = ({registry, repository}: OciReference, digest: string): string =>
  `${ociScheme}${showOciReference({registry, repository, digest})}`

/** What the image is called in lists. */
const labelOf = ({digest, ...reference}: OciReference): string =>
  `${showOciReference(reference)}${reference.tag === undefined && digest !== undefined ? `@${digest.slice(0, 19)}` : ''}`

const titleOf = ({annotations: {[annotations.title]: title = ''}}: Descriptor): string => title

/** A tag may have moved on while the disk that was declared, or locked, is in the repository still. */
const fetchDeclared = async (job: Job, what: LayerJob, {sha256}: ImageReference): Promise<Omit<FetchedImage, 'name'>> => {
  const digest = `sha256:${sha256?.toLowerCase()}`
  const {layer} = what
  if (sha256 === undefined || digest === layer.digest || !layer.digest.startsWith('sha256:')) return fetchLayer(job, what)
  try {
    return await fetchLayer(job, {...what, layer: {...layer, digest, size: Infinity}})
  } catch (error) {
    if (!isVmctlError(error) || !(error.cause instanceof HttpFailure) || error.cause.status !== 404) throw error
    throw new VmctlError(
      'vmctl::image::checksum_mismatch',
      `The sha256 of ${job.shown} is ${layer.digest.slice(7)}, but ${sha256} was expected.`,
      {
        help: 'The digest beside an image is that of its layer, as the manifest has it. That of the manifest stands in the reference: `…@sha256:…`.',
        details: {source: job.shown, algorithm: 'sha256', expected: sha256, actual: layer.digest.slice(7)},
      },
    )
  }
}

/** The layer with the disk, and the digest of the manifest or index at which it was found. */
const findLayer = async (job: Job, session: Session): Promise<ChosenLayer & {readonly digest: string}> => {
  const {shown, architecture, reference} = job
  const first = await readDocument(job, session, {name: reference.digest ?? reference.tag ?? '', digest: reference.digest})
  let document = first.document
  let isOfIndex = false
  for (let depth = 0; document.kind === 'index'; depth++) {
    if (depth === 2) throw notADisk(shown, 'an index of indexes of indexes')
    const {digest} = chooseManifest(document, architecture, shown)
    document = (await readDocument(job, session, {name: digest, digest})).document
    isOfIndex = true
  }
  const chosen = chooseLayer(document, shown)
  if (chosen.form === 'archive') checkContainerConfig(await readBlob(job, session, document.config), architecture, shown)
  else if (!isOfIndex) refuseForeign(document, job)
  return {...chosen, digest: first.digest}
}

const refuseForeign = ({annotations: {[annotations.architecture]: found}}: Manifest, {architecture, shown}: Job): void => {
  if (found === undefined || found === architecture) return
  throw new VmctlError('vmctl::image::not_found', `${shown} has no disk for ${architecture}.`, {
    help: `It is for ${quotedType(found)}.`,
    details: {source: shown, architecture},
  })
}

const readDocument = async (
  {shown, options}: Job,
  session: Session,
  {name, digest}: {readonly name: string; readonly digest: string | undefined},
): Promise<{readonly document: Manifest | Index; readonly digest: string}> => {
  const url = session.url(`manifests/${name}`)
  try {
    const {content, headers} = await readAnswer(url, {...options, client: session.client, headers: {accept: acceptedManifests}})
    // Of a tag, the registry itself says which digest it means.
    const expected = digest ?? single(headers['docker-content-digest'])
    if (expected !== undefined) requireDigest(content, expected, shown)
    const found = expected ?? `sha256:${createHash('sha256').update(content).digest('hex')}`
    return {document: parseDocument(content, shown), digest: found}
  } catch (error) {
    if (error instanceof HttpFailure && error.status === 404) throw notInRegistry(shown)
    throw registryError(url, error)
  }
}

const requireDigest = (content: Buffer, expected: string, shown: string): void => {
  const [algorithm = '', hex = ''] = expected.split(':')
  if (algorithm !== 'sha256' && algorithm !== 'sha512') throw notADisk(shown, `a manifest with a digest by ${quotedType(algorithm)}`)
  const actual = createHash(algorithm).update(content).digest('hex')
  if (actual === hex) return
  throw new VmctlError('vmctl::image::checksum_mismatch', `The manifest of ${shown} has the ${algorithm} ${actual}, not ${hex}.`, {
    details: {source: shown, algorithm, expected: hex, actual},
  })
}

const readBlob = async ({shown, options}: Job, session: Session, blob: Descriptor): Promise<Buffer> => {
  const url = session.url(`blobs/${blob.digest}`)
  try {
    const {content} = await readAnswer(url, {...options, client: session.client})
    requireDigest(content, blob.digest, shown)
    return content
  } catch (error) {
    throw registryError(url, error)
  }
}

interface LayerJob {
  readonly session: Session
  readonly layer: Descriptor
  readonly path: string
}

/** From the mirror if there is one; from the registry when that fails or has other bytes. */
const fetchLayer = async (job: Job, what: LayerJob): Promise<Omit<FetchedImage, 'name'>> => {
  const {mirror, options, reference} = job
  if (mirror && !mirror.isComplete) {
    try {
      await using session = await openSession(reference, {...options, actions: 'pull', mirror: mirror.origin})
      return await downloadLayer(job, {...what, session})
    } catch (error) {
      if (!isFailure(error, 'vmctl::image::download_failed', 'vmctl::image::checksum_mismatch', 'vmctl::registry::denied')) throw error
      options.onRetry?.(`${messageOf(error)} Trying ${reference.registry}.`)
    }
  }
  return downloadLayer(job, what)
}

const downloadLayer = async ({options}: Job, {session, layer, path}: LayerJob): Promise<Omit<FetchedImage, 'name'>> => {
  const url = session.url(`blobs/${layer.digest}`)
  try {
    return await downloadVerified({...options, client: session.client, url, path, limitBytes: layer.size}, digestsOf(layer))
  } catch (error) {
    throw registryError(url, error)
  }
}
