import {VmctlError} from '../../model/errors.ts'
import {printableName} from '../url.ts'

/** A blob or a manifest, by its digest. */
export interface Descriptor {
  readonly mediaType: string
  /** `sha256:…` or `sha512:…`, lower-case hex. */
  readonly digest: string
  readonly size: number
  readonly annotations: Readonly<Record<string, string>>
  readonly artifactType?: string
}

export interface PlatformDescriptor extends Descriptor {
  /** As it stands there. */
  readonly platform?: {readonly architecture: string; readonly os: string}
}

export interface Manifest {
  readonly kind: 'manifest'
  readonly artifactType?: string
  readonly config: Descriptor
  readonly layers: readonly Descriptor[]
  readonly annotations: Readonly<Record<string, string>>
}

export interface Index {
  readonly kind: 'index'
  readonly manifests: readonly PlatformDescriptor[]
}

/**
 * Reads what a registry has under a name. Only what is used is kept, and only when it is what it should be.
 * @param shown how the user knows it
 * @throws VmctlError `vmctl::image::refused`, `vmctl::image::download_failed`
 */
export const parseDocument = (content: Buffer, shown: string): Manifest | Index => {
  const json = objectOf(parseJson(content, shown))
  const {manifests, layers, config} = json
  if (Array.isArray(manifests)) return {kind: 'index', manifests: manifests.map((one) => platformDescriptor(one, shown))}
  if (Array.isArray(layers) && typeof config === 'object') {
    const {artifactType} = json
    return {
      kind: 'manifest',
      ...(typeof artifactType === 'string' && artifactType !== '' && {artifactType}),
      config: descriptor(config, shown),
      layers: layers.map((one) => descriptor(one, shown)),
      annotations: texts(json['annotations']),
    }
  }
  const old =
    json['schemaVersion'] === 1 ? 'an image of the first schema of Docker, which nobody makes any more' : 'no manifest that is known'
  throw notADisk(shown, old)
}

export const notADisk = (shown: string, what: string): VmctlError =>
  new VmctlError('vmctl::image::refused', `${shown} is no disk image: it is ${what}.`, {
    help: 'vmctl takes disks that `vmctl image push` or `oras push` has made, and KubeVirt container disks.',
    details: {source: shown, reason: what},
  })

const parseJson = (content: Buffer, shown: string): unknown => {
  try {
    return JSON.parse(content.toString('utf8'))
  } catch {
    const looks = /^\s*</.test(content.subarray(0, 64).toString('latin1')) ? 'a web page' : 'something that is not JSON'
    throw new VmctlError('vmctl::image::download_failed', `The registry answers ${looks} instead of a manifest of ${shown}.`, {
      help: 'Check that the address is one of a registry, and that nothing on the way (a proxy, a login page) answers in its place.',
    })
  }
}

const platformDescriptor = (value: unknown, shown: string): PlatformDescriptor => {
  const {architecture, os} = objectOf(objectOf(value)['platform'])
  return {
    ...descriptor(value, shown),
    ...(typeof architecture === 'string' && {platform: {architecture, os: typeof os === 'string' ? os : ''}}),
  }
}

const digestPattern = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/

const descriptor = (value: unknown, shown: string): Descriptor => {
  const {mediaType, digest, size, annotations, artifactType} = objectOf(value)
  if (typeof mediaType !== 'string' || typeof digest !== 'string' || !digestPattern.test(digest) || !isSize(size))
    throw notADisk(shown, 'a manifest that is damaged, or that names its parts by other digests than sha256 and sha512')
  return {mediaType, digest, size, annotations: texts(annotations), ...(typeof artifactType === 'string' && {artifactType})}
}

const isSize = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0

const texts = (value: unknown): Record<string, string> =>
  Object.fromEntries(Object.entries(objectOf(value)).flatMap(([key, text]) => (typeof text === 'string' ? [[key, text]] : [])))

export const objectOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}

/** A text of a registry's in a message. */
export const quotedType = (text: string): string => JSON.stringify(printableName(text).slice(0, 100))

/** The digest by its algorithm, as checksums are compared. */
export const digestsOf = ({digest}: Pick<Descriptor, 'digest'>): {readonly sha256?: string; readonly sha512?: string} => {
  const [algorithm = '', hex = ''] = digest.split(':')
  return {[algorithm]: hex}
}
