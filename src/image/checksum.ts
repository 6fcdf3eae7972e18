import {createHash} from 'node:crypto'

import {VmctlError} from '../model/errors.ts'

/** Lower-case hex digests of one file. */
export interface Digests {
  readonly sha256: string
  readonly sha512: string
}

/** The digests that a file must have, as declared or as published; both may be absent. */
export type ExpectedDigests = Partial<Digests>

/** Computes both digests in one pass, because a checksum file may come in either. */
export interface Digester {
  update(chunk: Uint8Array): void
  finish(): Digests
}

export const createDigester = (): Digester => {
  const sha256 = createHash('sha256')
  const sha512 = createHash('sha512')
  return {
    update(chunk) {
      sha256.update(chunk)
      sha512.update(chunk)
    },
    finish: () => ({sha256: sha256.digest('hex'), sha512: sha512.digest('hex')}),
  }
}

const algorithms = ['sha256', 'sha512'] as const

export type Algorithm = (typeof algorithms)[number]

/** Those of which there is a digest. */
export const algorithmsOf = (digests: ExpectedDigests): readonly Algorithm[] =>
  algorithms.filter((algorithm) => digests[algorithm] !== undefined)

/** The digest that differs from what was expected, if any. */
export const findMismatch = (
  expected: ExpectedDigests,
  actual: Digests,
): {readonly algorithm: 'sha256' | 'sha512'; readonly expected: string; readonly actual: string} | undefined => {
  for (const algorithm of algorithms) {
    const wanted = expected[algorithm]?.toLowerCase()
    if (wanted !== undefined && wanted !== actual[algorithm]) return {algorithm, expected: wanted, actual: actual[algorithm]}
  }
  return undefined
}

/** @throws VmctlError `vmctl::image::checksum_mismatch` when a digest differs from what was expected */
export const verifyDigests = (source: string, expected: ExpectedDigests, actual: Digests): void => {
  const mismatch = findMismatch(expected, actual)
  if (!mismatch) return
  throw new VmctlError(
    'vmctl::image::checksum_mismatch',
    `The ${mismatch.algorithm} of ${source} is ${mismatch.actual}, but ${mismatch.expected} was expected.`,
    {details: {source, ...mismatch}},
  )
}

/** By the number of hex digits. */
const algorithmByLength: ReadonlyMap<number, string> = new Map([
  [64, 'sha256'],
  [128, 'sha512'],
])

/** `DIGEST  NAME`, `DIGEST *NAME`; GNU puts a backslash before the digest of a name that holds escapes. */
const gnuLine = /^(?<escaped>\\?)(?<digest>[0-9a-f]+)\s+\*?(?<name>\S.*)$/i
/** `SHA256 (NAME) = DIGEST` */
const bsdLine = /^SHA-?(?:256|512)\s*\((?<name>.+)\)\s*=\s*(?<digest>[0-9a-f]+)$/i
const soleDigest = /^[0-9a-f]+$/i

/**
 * Finds the digests of a file in a checksum file: GNU (`sha256sum`), BSD (`--tag`), or a file that holds one digest and nothing else.
 * @param name the last path segment of the image's URL
 * @throws VmctlError `vmctl::image::checksum_mismatch` when it lists no digest, or contradicting ones, for that name
 */
export const parseChecksumFile = (text: string, name: string, source: string): ExpectedDigests => {
  const lines = text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '')
  const sole = lines.length === 1 && soleDigest.test(lines[0] ?? '')
  const found = new Map<string, string>()
  for (const line of lines) {
    const digest = sole ? line.toLowerCase() : digestOfLine(line, name)
    const algorithm = algorithmByLength.get(digest.length)
    if (algorithm === undefined) continue
    if ((found.get(algorithm) ?? digest) !== digest) throw unusable(`${source} lists two different digests of ${name}.`)
    found.set(algorithm, digest)
  }
  if (found.size === 0) throw unusable(`${source} lists no sha256 or sha512 of ${name}.`)
  return Object.fromEntries(found)
}

/** The names of all files that a list has digests of. */
export const listedNames = (text: string): string[] =>
  text.split(/\r?\n/).flatMap((line) => {
    const {digest = '', name = ''} = (bsdLine.exec(line.trim()) ?? gnuLine.exec(line.trim()))?.groups ?? {}
    return algorithmByLength.has(digest.length) ? [name.slice(name.lastIndexOf('/') + 1)] : []
  })

/** The digest in a line that speaks of the wanted file; empty for any other line. */
const digestOfLine = (line: string, name: string): string => {
  const {digest = '', name: listed = '', escaped = ''} = (bsdLine.exec(line) ?? gnuLine.exec(line))?.groups ?? {}
  return namesFile(listed, name, escaped !== '') ? digest.toLowerCase() : ''
}

/** Lists hold bare names (`disk.qcow2`), relative ones (`./disk.qcow2`) or paths; the last segment counts. */
const namesFile = (listed: string, name: string, isEscaped: boolean): boolean => {
  const plain = isEscaped
    ? listed.replaceAll(/\\(.)/g, (_, letter: string) => (letter === 'n' ? '\n' : letter === 'r' ? '\r' : letter))
    : listed
  return plain === name || plain.slice(plain.lastIndexOf('/') + 1) === name
}

const unusable = (message: string): VmctlError =>
  new VmctlError('vmctl::image::checksum_mismatch', message, {help: 'Check `checksum-url`, or declare `sha256` or `sha512` instead.'})
