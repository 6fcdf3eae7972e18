import {createHash} from 'node:crypto'
import {gunzipSync} from 'node:zlib'

/** A document for cloud-init: text, or the bytes of a file that the user brought. */
export type Document = string | Uint8Array

/**
 * Puts what vmctl has to say beside what the user has written, as one MIME message ("User-data formats", cloud-init
 * documentation). cloud-init merges cloud-configs in their order. Ours comes last and steps back: a setting that the user has
 * made stays his, maps are joined, and of lists (users, commands, files) ours goes before his.
 */
export const mergeDocuments = (theirs: Document, ours: string): Document => {
  const bytes = Buffer.from(theirs)
  const parts = [partOf(bytes), entity(['Content-Type: text/cloud-config; charset="utf-8"', `Merge-Type: ${mergeType}`], Buffer.from(ours))]
  const boundary = `vmctl-${createHash('sha256').update(Buffer.concat(parts)).digest('hex').slice(0, 32)}`
  return Buffer.concat([
    Buffer.from(`Content-Type: multipart/mixed; boundary="${boundary}"\nMIME-Version: 1.0\n\n`),
    ...parts.flatMap((part) => [Buffer.from(`--${boundary}\n`), part, Buffer.from('\n')]),
    Buffer.from(`--${boundary}--\n`),
  ])
}

const mergeType = 'list(prepend)+dict(no_replace,recurse_list)+str()'

/** As cloud-init would take it by itself: unpacked first, a message of parts stays one, and what text/plain is, its first line tells. */
const partOf = (bytes: Buffer): Buffer => {
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) return partOf(gunzipSync(bytes, {maxOutputLength: unpackedLimit}))
  if (bytes.subarray(0, 4096).toString('latin1').toLowerCase().includes('mime-version:')) return bytes
  return entity(['Content-Type: text/plain; charset="utf-8"'], bytes)
}

const unpackedLimit = 16 * 2 ** 20

const entity = (headers: readonly string[], body: Buffer): Buffer => {
  const lines = body.toString('base64').match(/.{1,76}/g) ?? []
  return Buffer.from([...headers, 'MIME-Version: 1.0', 'Content-Transfer-Encoding: base64', '', ...lines, ''].join('\n'))
}
