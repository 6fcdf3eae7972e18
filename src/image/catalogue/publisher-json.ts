import type {ExpectedDigests} from '../checksum.ts'

interface JsonImage {
  /** From the origin. */
  readonly path: string
  readonly digests: ExpectedDigests
}

/** Text of a field by its path through objects; undefined when anything on the way is something else. */
const textAt = (value: unknown, ...keys: readonly string[]): string | undefined => {
  let current = value
  for (const key of keys) current = typeof current === 'object' && current !== null ? (current as Record<string, unknown>)[key] : undefined
  return typeof current === 'string' ? current : undefined
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

const isPlainPath = (path: string): boolean => /^[\w.+-]+(?:\/[\w.+-]+)*$/.test(path) && !path.split('/').includes('..')

/** The qcow2 image of Debian's manifest: its dated file, and its digest, which is base64 without padding there. */
export const imageOfDebian = (text: string, folder: string): JsonImage | undefined => {
  const {items} = (parse(text) ?? {}) as {items?: unknown}
  const upload = (Array.isArray(items) ? items : []).find(
    (item: unknown) =>
      textAt(item, 'kind') === 'Upload' && textAt(item, 'metadata', 'labels', 'upload.cloud.debian.org/image-format') === 'qcow2',
  ) as unknown
  const ref = textAt(upload, 'data', 'ref')
  const digest = textAt(upload, 'metadata', 'annotations', 'cloud.debian.org/digest')
  if (ref === undefined || digest === undefined || !isPlainPath(ref) || !digest.startsWith('sha512:')) return undefined
  const sha512 = Buffer.from(digest.slice('sha512:'.length), 'base64').toString('hex')
  return sha512.length === 128 ? {path: `${folder}/${ref}`, digests: {sha512}} : undefined
}

/** The image for KVM of Oracle's list of templates. */
export const imageOfOracle = (text: string): JsonImage | undefined => {
  const list = parse(text)
  const folder = textAt(list, 'base_url')
    ?.replace(/^https:\/\/[^/]+/, '')
    .replaceAll(/^\/+|\/+$/g, '')
  const file = textAt(list, 'kvm', 'image')
  const sha256 = textAt(list, 'kvm', 'sha256')?.toLowerCase()
  if (folder === undefined || file === undefined || sha256 === undefined) return undefined
  const path = `${folder}/${file}`
  return isPlainPath(path) && /^[0-9a-f]{64}$/.test(sha256) ? {path, digests: {sha256}} : undefined
}
