import type {Architecture, CatalogueRelease, CatalogueSignature, Mirror, Publisher} from '../model/catalogue.ts'
import type {VmctlError} from '../model/errors.ts'
import {isRegistryName} from '../model/oci-reference.ts'
import type {Located} from './grammar/shapes.ts'
import {isMinisignKey} from './grammar/kinds.ts'
import {readDocument} from './grammar/read.ts'
import {problemsError, type Report, startReport} from './kdl/report.ts'
import {parseKdl} from './kdl/syntax.ts'
import {listOf, quoted} from './kdl/wording.ts'
import {imagesFile, type ReadImagesFile} from './nodes/publisher.ts'
import {optional} from './resolve/context.ts'

/** What a user says about images: publishers of their own, which replace those of the same name, and mirrors. */
export interface ImagesFile {
  readonly publishers: readonly Publisher[]
  readonly mirrors: readonly Mirror[]
}

type ReadPublisher = ReadImagesFile['publisher'][number]

/**
 * Reads `images.kdl` of the configuration directory.
 * @param file what problems call it
 * @param known names of the publishers that there are besides
 * @throws VmctlError `vmctl::vmfile::parse_failed` or `vmctl::vmfile::validation` with all problems and their places
 */
export const parseImagesFile = (text: string, {file, known}: {readonly file: string; readonly known: readonly string[]}): ImagesFile => {
  const report = startReport(text, file)
  const nodes = parseKdl(text, report)
  if (!nodes) throw invalid(report, file)
  const read = readDocument(nodes, imagesFile, {report, grammar: imagesFile.fields, extensions: new Set()})
  refuseTwice(
    read.publisher.map(({argument}) => argument),
    'publishers',
    report,
  )
  const publishers = read.publisher.flatMap((publisher) => buildPublisher(publisher, report) ?? [])
  const mirrors = buildMirrors(read, [...known, ...publishers.map(({name}) => name)], report)
  if (report.hasErrors()) throw invalid(report, file)
  return {publishers, mirrors}
}

const invalid = (report: Report, file: string): VmctlError =>
  problemsError(report, file).reword({help: 'Correct the lines shown above; `vmctl image search` shows what the file means.'})

const buildMirrors = ({mirror}: ReadImagesFile, names: readonly string[], report: Report): Mirror[] =>
  mirror.flatMap(({argument: publisher, fields: {origin, complete}}) => {
    if (!publisher || !origin) return []
    if (!names.includes(publisher.value) && !isRegistryName(publisher.value))
      report.error(
        publisher,
        `there is no publisher ${quoted(publisher.value)}`,
        `there are ${listOf(names)}; a registry has a dot in its name`,
      )
    return [{publisher: publisher.value, origin: withoutSlash(origin.value), isComplete: complete.value}]
  })

const withoutSlash = (url: string): string => url.replace(/\/+$/, '')

const buildPublisher = ({argument: name, fields}: ReadPublisher, report: Report): Publisher | undefined => {
  const {title, origin, user, init, arch, signature, key, release} = fields
  if (name) refuseIncomplete(name, fields, report)
  refuseTwice(
    release.map(({argument}) => argument),
    'releases',
    report,
  )
  checkWords(fields, report)
  const layout = layoutOf(fields)
  const signed = signatureOf(signature, report)
  if (!name || !origin || !user || !layout) return undefined
  return {
    name: name.value,
    title: title?.value ?? name.value,
    origin: withoutSlash(origin.value),
    user: user.value,
    init: init.value,
    seedReader: 'cloud-init',
    architectures: Object.fromEntries([...arch].map(([processor, {value}]) => [processor as Architecture, value])),
    ...firmwareOf(fields),
    layout,
    ...optional('signature', signed),
    ...(key.length > 0 && {keys: key.map(({value}) => value)}),
    releases: release.flatMap((one) => releaseOf(one) ?? []),
  }
}

const refuseIncomplete = (
  name: Located<string>,
  {arch, list, image, signature, key, release}: ReadPublisher['fields'],
  report: Report,
): void => {
  const publisher = `the publisher ${quoted(name.value)}`
  if (release.length === 0) report.error(name, `${publisher} has no release`, 'add one, such as release "1"')
  if (arch.size === 0) report.error(name, `${publisher} has no processors`, 'add arch x86_64="amd64", say')
  if (!list) report.error(name, `${publisher} has no list of checksums`, 'add list "…"')
  if (!image) report.error(name, `it is not said where the images of ${quoted(name.value)} are`, 'add image "…"')
  if (signature && key.length === 0 && release.some(({fields}) => fields.key.length === 0))
    report.error(
      signature,
      'a signature needs a key',
      'add key "…", with the 40 hexadecimal digits of its fingerprint, or the key of minisign',
    )
  for (const one of signature ? [key, ...release.map(({fields}) => fields.key)].flat() : [])
    if (isMinisignKey(one.value) !== (signature?.argument?.value === 'minisign'))
      report.error(
        one,
        'this key is of the other kind than the signature',
        'minisign goes with keys that begin with RW, OpenPGP with fingerprints',
      )
}

const firmwareOf = ({firmware}: ReadPublisher['fields']): Pick<Publisher, 'firmware' | 'imagePerFirmware'> => {
  if (!firmware) return {}
  return firmware.value === 'both' ? {imagePerFirmware: true} : {firmware: firmware.value}
}

const layoutOf = ({index, list, image}: ReadPublisher['fields']): Publisher['layout'] | undefined => {
  if (!list?.argument || !image?.argument) return undefined
  return {
    kind: 'list',
    ...(index?.argument && index.fields.find && {index: {at: index.argument.value, find: index.fields.find.value}}),
    list: list.argument.value,
    ...optional('pick', list.fields.pick?.value),
    image: image.argument.value,
  }
}

const signatureOf = (signature: ReadPublisher['fields']['signature'], report: Report): CatalogueSignature | undefined => {
  const {argument: form, fields: {at, 'key-url': keyUrl} = {}} = signature ?? {}
  if (!signature || !form) return undefined
  if (form.value === 'minisign') {
    if (keyUrl) report.error(keyUrl, 'minisign has no keys to fetch', 'remove key-url, and write the public key itself as key "RW…"')
    if (!at) report.error(signature, 'it is not said where the signature is', 'add at="…"')
    return at && {form: 'minisign', at: at.value}
  }
  if (!keyUrl) {
    report.error(signature, 'it is not said where the key is', 'add key-url="https://…"')
    return undefined
  }
  if (form.value === 'clearsigned') {
    if (at) report.error(at, 'a clear-signed list has no signature of its own', 'remove at')
    return {form: 'clearsigned', keyUrl: keyUrl.value}
  }
  if (!at) report.error(signature, 'it is not said where the signature is', 'add at="…"')
  return at && {form: 'detached', at: at.value, keyUrl: keyUrl.value}
}

const releaseOf = ({argument: tag, fields}: ReadPublisher['fields']['release'][number]): CatalogueRelease | undefined =>
  tag && {
    tag: tag.value,
    ...(fields.alias.length > 0 && {names: fields.alias.map(({value}) => value)}),
    ...optional('ends', fields.ends?.value),
    ...optional('user', fields.user?.value),
    ...(fields.key.length > 0 && {keys: fields.key.map(({value}) => value)}),
    ...(fields.word.size > 0 && {words: Object.fromEntries([...fields.word].map(([word, {value}]) => [word, value]))}),
    ...optional('cpuLevel', fields.cpu?.value),
  }

/** A word that nobody says would stand in the URL as it is, and be found missing only at the publisher's. */
const checkWords = ({index, list, image, signature, release, firmware}: ReadPublisher['fields'], report: Report): void => {
  const ofReleases = release.map(({fields}) => new Set(fields.word.keys()))
  const shared = [...(ofReleases[0] ?? [])].filter((word) => ofReleases.every((words) => words.has(word)))
  const known = new Set(['tag', 'arch', ...(firmware?.value === 'both' ? ['firmware'] : []), ...shared])
  const check = (template: Located<string> | undefined): void => {
    for (const [whole, word = ''] of template?.value.matchAll(/\{([a-z]+)\}/g) ?? [])
      if (template && !known.has(word))
        report.error(template, `nothing says what ${whole} is`, `it can be ${listOf([...known].map((one) => `{${one}}`))}`)
  }
  const learn = (pattern: Located<string> | undefined): void => {
    check(pattern)
    for (const [, word = ''] of pattern?.value.matchAll(/\(\?<([a-z]+)>/g) ?? []) known.add(word)
  }
  check(index?.argument)
  learn(index?.fields.find)
  check(list?.argument)
  check(signature?.fields.at)
  learn(list?.fields.pick)
  if (list?.fields.pick) known.add('file')
  check(image?.argument)
}

const refuseTwice = (names: readonly (Located<string> | undefined)[], noun: string, report: Report): void => {
  const seen = new Map<string, Located<string>>()
  for (const name of names) {
    if (!name) continue
    const first = seen.get(name.value)
    if (first) report.error(name, `there are two ${noun} ${quoted(name.value)}`, `the first is in line ${report.lineOf(first.start)}`)
    else seen.set(name.value, name)
  }
}
