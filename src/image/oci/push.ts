import {createHash} from 'node:crypto'
import {createReadStream} from 'node:fs'
import {stat} from 'node:fs/promises'

import {makePrivateDirectory, readIfExists, writeFileAtomic} from '../../host/files.ts'
import {acquireLock} from '../../host/lock.ts'
import {type Architecture, architectures} from '../../model/catalogue.ts'
import {VmctlError} from '../../model/errors.ts'
import {ociScheme, type OciReference, showOciReference} from '../../model/oci-reference.ts'
import type {BaseImage} from '../../model/vm.ts'
import {type ImageListener, throttled} from '../events.ts'
import {HttpFailure} from '../http-client.ts'
import {readAnswer} from '../http-text.ts'
import {imageFiles, type ImageStore} from '../image-store.ts'
import {removePartial, sidecar} from '../partial.ts'
import {sweepPartials} from '../sweep.ts'
import {diskIndex, diskManifest, emptyConfig, type OciDocument, type PackedDisk, platformEntry} from './artifact.ts'
import {type Manifest, objectOf, parseDocument} from './document.ts'
import {acceptedManifests, annotations, architectureNamed, mediaTypes} from './media-types.ts'
import {type Packed, packDisk, packedTitle} from './pack.ts'
import {openSession, type RegistryOptions, type Session} from './session.ts'
import {refusalOf, uploadBlob, type UploadJob} from './upload.ts'

export interface PushJob {
  readonly image: BaseImage
  /** What the disk is called: `debian.qcow2`. */
  readonly name: string
  readonly architecture: Architecture
  /** RFC 3339; the same for the same disk, or each push would make another manifest. */
  readonly created: string
  readonly reference: OciReference
}

export interface PushOptions extends RegistryOptions {
  readonly signal: AbortSignal
  readonly onEvent: ImageListener
  readonly chunkBytes?: number
}

/** What is in the registry now; the `--json` shape of `vmctl image push`. */
export interface PushedImage {
  /** `oci://…` with the tag. */
  readonly image: string
  /** The same disk for ever: `oci://…@sha256:…`. */
  readonly pinned: string
  readonly architecture: Architecture
  /** Of the disk, lower-case hex. */
  readonly sha256: string
  /** Of the packed disk in the registry. */
  readonly sizeBytes: number
  /** What of that was sent; 0 when the registry had it. */
  readonly sentBytes: number
  /** Processors that the tag has a disk for now. */
  readonly architectures: readonly string[]
}

/**
 * Brings a disk into a registry. What the registry has is not sent; what an earlier, cut push has sent is not sent again. A tag that
 * has disks for other processors keeps them.
 * @throws VmctlError `vmctl::image::push_failed`, `vmctl::registry::denied`, `vmctl::image::no_space`
 */
export const pushDisk = async (store: ImageStore, job: PushJob, options: PushOptions): Promise<PushedImage> => {
  const {reference, image} = job
  const shown = showOciReference(reference)
  const key = createHash('sha256')
    .update(`push ${await identityOf(image)}`)
    .digest('hex')
  for (const directory of [imageFiles.partials(store), store.lockDirectory]) await makePrivateDirectory(directory)
  await using _lock = await acquireLock(imageFiles.fetchLock(store, key), {
    purpose: `pushing ${shown}`,
    timeoutMs: Infinity,
    signal: options.signal,
    onWait: (holder) => options.onEvent({type: 'image.waiting', source: `${ociScheme}${shown}`, holder}),
  })
  await sweepPartials(store, key)
  const path = `${imageFiles.partial(store, key)}.blob`
  const staged = await stage(path, job, options)
  await using session = await openSession(reference, {...options, actions: 'pull,push'})
  try {
    const disk: PackedDisk = {
      ...staged.packed,
      title: packedTitle(job.name),
      virtualSizeBytes: image.virtualSizeBytes,
      architecture: job.architecture,
      created: job.created,
    }
    const sentBytes = await sendBlobs({session, path, staged, shown}, options)
    const manifest = diskManifest(disk)
    const kept = await putManifest({session, reference, shown, manifest, architecture: job.architecture}, options)
    await removePartial(path)
    options.onEvent({type: 'image.pushed', source: `${ociScheme}${shown}`, sentBytes, sizeBytes: disk.blob.sizeBytes})
    const {registry, repository} = reference
    return {
      image: `${ociScheme}${shown}`,
      pinned: `${ociScheme}${showOciReference({registry, repository, digest: manifest.digest})}`,
      architecture: job.architecture,
      sha256: disk.sha256,
      sizeBytes: disk.blob.sizeBytes,
      sentBytes,
      architectures: kept,
    }
  } catch (error) {
    options.signal.throwIfAborted()
    throw error instanceof HttpFailure ? pushError(shown, error) : error
  }
}

const pushError = (shown: string, failure: HttpFailure): VmctlError =>
  new VmctlError('vmctl::image::push_failed', `Cannot push to ${shown}: ${failure.message}`, {cause: failure.cause ?? failure})

/** A file that was touched may be another disk. */
const identityOf = async ({path}: BaseImage): Promise<string> => {
  const {size, mtimeNs, ino} = await stat(path, {bigint: true})
  return `${path} ${size} ${mtimeNs} ${ino}`
}

/** The packed disk on its way, and how far an earlier run has brought it. */
interface Staged {
  readonly packed: Packed
  readonly upload?: {readonly repository: string; readonly location: string}
}

/** Packs the disk, unless an earlier run has. What stands beside the file is written after it. */
const stage = async (path: string, {image, reference}: PushJob, {signal, onEvent}: PushOptions): Promise<Staged> => {
  const source = `${ociScheme}${showOciReference(reference)}`
  const earlier = parseStaged(await readIfExists(sidecar(path)))
  const size = (await stat(path).catch(() => undefined))?.size
  if (earlier && earlier.packed.blob.sizeBytes === size) return earlier
  await removePartial(path)
  const onProgress = throttled(
    (progress: {readonly readBytes: number; readonly totalBytes: number}) => onEvent({type: 'image.packing', source, ...progress}),
    ({readBytes, totalBytes}) => readBytes === totalBytes,
  )
  const staged: Staged = {packed: await packDisk(image, path, {signal, onProgress})}
  await writeFileAtomic(sidecar(path), JSON.stringify(staged))
  return staged
}

const parseStaged = (text: string | undefined): Staged | undefined => {
  try {
    const staged = text === undefined ? undefined : (JSON.parse(text) as Staged)
    return /^[0-9a-f]{64}$/.test(staged?.packed?.blob?.sha256 ?? '') ? staged : undefined
  } catch {
    return undefined
  }
}

interface BlobJob {
  readonly session: Session
  readonly path: string
  readonly staged: Staged
  readonly shown: string
}

const sendBlobs = async ({session, path, staged, shown}: BlobJob, options: PushOptions): Promise<number> => {
  const {packed, upload} = staged
  const {sizeBytes: totalBytes} = packed.blob
  const source = `${ociScheme}${shown}`
  const repository = session.url('').href
  const onProgress = throttled(
    (sentBytes: number) => options.onEvent({type: 'image.pushing', source, sentBytes, totalBytes}),
    (sentBytes) => sentBytes === totalBytes,
  )
  const common = {...options, session, onRetry: (reason: string) => options.onEvent({type: 'image.retrying', source, reason})}
  const blob: UploadJob = {
    ...common,
    digest: `sha256:${packed.blob.sha256}`,
    sizeBytes: totalBytes,
    read: (start, end) => () => createReadStream(path, {start, end: end - 1, highWaterMark: 2 ** 20}),
    earlier: upload?.repository === repository ? upload.location : undefined,
    keep: async (location) => writeFileAtomic(sidecar(path), JSON.stringify({packed, upload: {repository, location}})),
    onProgress,
  }
  const config: UploadJob = {
    ...common,
    digest: `sha256:${createHash('sha256').update(emptyConfig).digest('hex')}`,
    sizeBytes: emptyConfig.length,
    read: (start, end) => emptyConfig.subarray(start, end),
  }
  const sentBytes = await uploadBlob(blob)
  await uploadBlob(config)
  return sentBytes
}

interface ManifestJob {
  readonly session: Session
  readonly reference: OciReference
  readonly shown: string
  readonly manifest: OciDocument
  readonly architecture: Architecture
}

/** Somebody else may change the tag between our look and our answer; registries know no other way than to look again. */
const attempts = 4

/**
 * Gives the tag its manifest; beside those for other processors, when it has any.
 * @returns the processors that it has now
 */
const putManifest = async (job: ManifestJob, options: PushOptions): Promise<readonly string[]> => {
  const {manifest, reference, shown} = job
  let current = await readTag(job, options)
  for (let attempt = 0; !current || !isSettled(current, job); attempt++) {
    if (attempt === attempts) {
      throw new VmctlError('vmctl::image::push_failed', `Others change ${shown} at the same time, and again and again.`)
    }
    const document = nextDocument(current, job)
    if (document !== manifest) await put(job, {name: manifest.digest, document: manifest}, options)
    await put(job, {name: reference.tag ?? '', document}, options)
    current = await readTag(job, options)
  }
  return platformsOf(current, job)
}

/** What a tag has now. */
interface TagContent {
  readonly content: Buffer
  readonly document: OciDocument
  readonly parsed: ReturnType<typeof parseDocument>
}

const readTag = async ({session, reference, shown}: ManifestJob, options: PushOptions): Promise<TagContent | undefined> => {
  const url = session.url(`manifests/${reference.tag ?? ''}`)
  try {
    const {content, headers} = await readAnswer(url, {...options, client: session.client, headers: {accept: acceptedManifests}})
    const type = headers['content-type']
    const mediaType = typeof type === 'string' ? type.replace(/;.*$/, '') : mediaTypes.manifest
    const digest = `sha256:${createHash('sha256').update(content).digest('hex')}`
    return {content, document: {mediaType, content, digest}, parsed: parseDocument(content, shown)}
  } catch (error) {
    if (error instanceof HttpFailure && error.status === 404) return undefined
    throw error
  }
}

const isSettled = ({parsed, document}: TagContent, {manifest}: ManifestJob): boolean =>
  parsed.kind === 'index' ? parsed.manifests.some(({digest}) => digest === manifest.digest) : document.digest === manifest.digest

const platformsOf = ({parsed}: TagContent, {architecture}: ManifestJob): readonly string[] =>
  parsed.kind === 'index' ? parsed.manifests.flatMap(({platform}) => architectureNamed(platform?.architecture) ?? []) : [architecture]

/** @throws VmctlError `vmctl::image::push_failed` when the tag has something that would be lost */
const nextDocument = (current: TagContent | undefined, {manifest, architecture, shown}: ManifestJob): OciDocument => {
  if (!current) return manifest
  const entry = platformEntry(manifest, architecture)
  if (current.parsed.kind === 'index') return diskIndex(objectOf(JSON.parse(current.content.toString('utf8'))), entry, architecture)
  const other = architectureOf(current.parsed)
  if (other === undefined) {
    throw new VmctlError('vmctl::image::push_failed', `${shown} is something else than a disk of vmctl, and would be lost.`, {
      help: 'Push to another tag.',
    })
  }
  if (other === architecture) return manifest
  return diskIndex({manifests: [platformEntry(current.document, other)]}, entry, architecture)
}

const architectureOf = ({artifactType, annotations: said}: Manifest): Architecture | undefined =>
  artifactType === mediaTypes.disk ? architectures.find((one) => one === said[annotations.architecture]) : undefined

const put = async (
  {session}: ManifestJob,
  {name, document}: {readonly name: string; readonly document: OciDocument},
  {signal}: PushOptions,
): Promise<void> => {
  const url = session.url(`manifests/${name}`)
  const {mediaType, content} = document
  const response = await session.client.send(
    {method: 'PUT', url, headers: {'content-type': mediaType, 'content-length': `${content.length}`}, body: content},
    signal,
  )
  if (response.status !== 201 && response.status !== 202) throw await refusalOf(url, response)
  response.body.on('error', () => undefined).destroy()
}
