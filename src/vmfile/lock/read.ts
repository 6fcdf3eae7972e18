import {architectures, type Trust} from '../../model/catalogue.ts'
import type {VmctlError} from '../../model/errors.ts'
import {type LockedBuild, type LockedImage, lockedKey} from '../../model/lock.ts'
import {readDocument} from '../grammar/read.ts'
import {problemsError, type Report, type Span, startReport} from '../kdl/report.ts'
import {parseKdl} from '../kdl/syntax.ts'
import {plain, quoted} from '../kdl/wording.ts'
import {lockFile, lockVersion, type ReadArchitecture, type ReadBuild, type ReadLockedImage} from './grammar.ts'

const start: Span = {start: 0, end: 1}

/** Far more than anybody's images need, and as much as the parser can take. */
const mostCharacters = 2 ** 20

/**
 * Reads a lock file.
 * @param file what problems call it
 * @throws VmctlError `vmctl::vmfile::parse_failed` or `vmctl::vmfile::validation` with all problems and their places
 */
export const parseLock = (text: string, file: string): readonly LockedImage[] => {
  const report = startReport(text, file)
  if (text.length > mostCharacters) report.syntax(start, 'a lock file has 1 MB at most', 'remove it, and run `vmctl image lock`')
  else refuseConflict(text, report)
  const nodes = report.hasErrors() ? undefined : parseKdl(text, report)
  if (!nodes) throw invalid(report, file)
  const read = readDocument(nodes, lockFile, {report, grammar: lockFile.fields, extensions: new Set()})
  if (!read.lock && !report.hasErrors()) report.error(start, `this file does not begin with lock ${lockVersion}`, 'it is no lock file')
  const seen = new Map<string, Span>()
  const images = read.image.flatMap((image) => imagesOf(image, {report, seen}))
  if (report.hasErrors()) throw invalid(report, file)
  return images
}

const invalid = (report: Report, file: string): VmctlError =>
  problemsError(report, file).reword({
    help: 'Correct the lines shown above. An image that is taken out of the file as a whole is locked anew by `vmctl image lock`.',
  })

/** KDL would stumble over the first line of a conflict, and say nothing that helps. */
const refuseConflict = (text: string, report: Report): void => {
  const [marker] = text.matchAll(/^(?:<{7}|>{7}|={7}|\|{7})(?=\s|$).*$/gm)
  if (!marker) return
  report.syntax(
    {start: marker.index, end: marker.index + marker[0].length},
    'a merge has left a conflict here',
    'take either side (`git checkout --theirs` and the name of the file), then run `vmctl image lock`',
  )
}

interface Reading {
  readonly report: Report
  /** Where each image was first. */
  readonly seen: Map<string, Span>
}

const imagesOf = ({argument, fields, ...span}: ReadLockedImage, reading: Reading): LockedImage[] => {
  if (!argument) return []
  const {report} = reading
  const image = argument.value
  refuseTwice(image, argument, reading)
  const builds = architectures.flatMap((architecture) => fields[architecture].map((read) => ({architecture, read})))
  if (URL.canParse(image) && image.includes('://')) {
    for (const {read} of builds) report.error(read, 'an image by URL has no processors', 'write its digest right into the block')
    const build = buildOf(fields, span, report)
    return build ? [{image, ...build}] : []
  }
  refuseFacts(fields, report)
  if (builds.length === 0) report.error(argument, `nothing is locked of ${quoted(image)}`, 'remove it, and run `vmctl image lock`')
  return builds.flatMap(({architecture, read}) => {
    const {firmware} = read.fields
    const where = {image, architecture, ...(firmware && {firmware: firmware.value})}
    refuseTwice(lockedKey(where), read, reading)
    if (!read.given.has('url')) report.error(read, `it is not said where the image for ${architecture} is`, 'add url "…"')
    const build = buildOf(read.fields, read, report)
    return build ? [{...where, ...build}] : []
  })
}

const refuseTwice = (key: string, span: Span, {report, seen}: Reading): void => {
  const first = seen.get(key)
  if (first) report.error(span, `${quoted(key)} is locked twice`, `the first is in line ${report.lineOf(first.start)}`)
  else seen.set(key, span)
}

/** What belongs into the block of a processor. */
const refuseFacts = (fields: ReadLockedImage['fields'], report: Report): void => {
  for (const name of ['url', 'sha256', 'sha512', 'size', 'format', 'virtual-size', 'published', 'trust'] as const) {
    const found = fields[name]
    if (found) report.error(found, `${plain(name)} belongs to the image for one processor`, 'put it into a block such as x86_64 { … }')
  }
}

/** Where the facts of a build are written, and which of them, right or wrong. */
type Written = Pick<ReadArchitecture, 'start' | 'end' | 'given'>

const buildOf = (fields: ReadBuild | ReadArchitecture['fields'], span: Written, report: Report): LockedBuild | undefined => {
  const {url, sha256, sha512, size, format, published} = fields
  const virtualSize = fields['virtual-size']
  const trust = trustOf(fields.trust, span, report)
  if (!span.given.has('sha256') && !span.given.has('sha512')) report.error(span, 'there is no digest', 'add sha256 "…" or sha512 "…"')
  if (!trust) return undefined
  return {
    ...(url && {url: url.value}),
    digests: {...(sha256 && {sha256: sha256.value}), ...(sha512 && {sha512: sha512.value})},
    ...(size && {sizeBytes: size.value}),
    ...(virtualSize && {virtualSizeBytes: virtualSize.value}),
    ...(format && {format: format.value}),
    ...(published && {published: published.value}),
    trust,
  }
}

const trustOf = (read: ReadBuild['trust'], span: Span, report: Report): Trust | undefined => {
  if (!read) return void report.error(span, 'it is not said how far it can be trusted', 'add trust "checksum", say')
  const {argument: level, fields} = read
  if (!level) return undefined
  if (level.value !== 'signed') return {level: level.value}
  if (fields.by && fields.key) return {level: 'signed', by: fields.by.value, fingerprint: fields.key.value}
  return void report.error(read, 'it is not said who signed', 'add by="…" and key="…"')
}
