import {dirname} from 'node:path'
import {isDeepStrictEqual} from 'node:util'

import {resolvePath} from '../../host/paths.ts'
import {
  catalogueNames,
  type Firmware,
  findCatalogueImage,
  isPublishedFor,
  looksLikeImagePath,
  type NamedReference,
  referenceOf,
  seedProblem,
} from '../../model/catalogue.ts'
import {builtInCatalogue} from '../../model/catalogue-entries.ts'
import {ociScheme, parseOciReference, showOciReference} from '../../model/oci-reference.ts'
import {displaySource} from '../../model/secrets.ts'
import type {ImageReference} from '../../model/vm.ts'
import {type Compare, namesOf} from '../grammar/change.ts'
import {boolean, digest, path, text, word} from '../grammar/kinds.ts'
import {block, field, type Located, type ReadFields, required} from '../grammar/shapes.ts'
import type {Span} from '../kdl/report.ts'
import {nearest, quoted} from '../kdl/wording.ts'
import {type Context, optional, resolveExisting} from '../resolve/context.ts'
import {lookAt} from '../resolve/local-files.ts'
import type {BuiltDockerfile, dockerfileNode} from './dockerfile.ts'
import type {deviceNode} from './device.ts'
import type {firmwareNode} from './firmware.ts'

const formatField = field(word('image format', 'qcow2', 'raw', 'vmdk', 'vdi', 'vhdx'), 'Format of the image; detected when absent.')

const osField = field(word('init system', 'systemd', 'openrc'), 'Init system of the guest; "systemd" when absent.')

const sha256Field = field(digest('sha256'), 'SHA-256 of the file as published.')

const sha512Field = field(digest('sha512'), 'SHA-512 of the file as published.')

export const imageNode = block(
  'A disk image on the host, which is never written to, or the name of one in the catalogue.',
  {argument: required(path('"images/debian.qcow2"'), 'Path of the image, or a name such as "debian:12".')},
  {format: formatField, os: osField, sha256: sha256Field, sha512: sha512Field},
)

export const imageUrlNode = block(
  'A disk image to download, once, into the cache.',
  {
    argument: required(
      text('URL', {example: '"https://…"'}),
      'URL of the image, also in a registry ("oci://…"); .zst, .zstd, .gz, .xz and .bz2 are decompressed.',
    ),
  },
  {
    format: formatField,
    os: osField,
    sha256: sha256Field,
    sha512: sha512Field,
    'checksum-url': field(text('URL', {example: '"https://…"'}), 'A file of checksums (SHA256SUMS, SHA512SUMS) that lists the image.'),
    insecure: field(boolean, 'Accept http and any certificate of the server.'),
  },
)

type VmFields = ReadFields<{
  image: typeof imageNode
  'image-url': typeof imageUrlNode
  dockerfile: typeof dockerfileNode
  firmware: typeof firmwareNode
  device: typeof deviceNode
}>

/** What a VM boots with, and where the VMFile says so. */
interface Boot {
  readonly type: Firmware
  readonly written?: Located<Firmware>
}

/** The one image source of a VM; undefined when there is none, or none that can be used. */
export const buildImage = async (
  vm: Span,
  {image, 'image-url': imageUrl, dockerfile, firmware, device}: VmFields,
  built: BuiltDockerfile | undefined,
  context: Context,
): Promise<ImageReference | undefined> => {
  const {report} = context
  if (image && imageUrl) {
    const second = image.start > imageUrl.start ? image : imageUrl
    report.error(second, 'both image and image-url specified', 'use either image or image-url, not both')
  }
  // Devices that are handed through make it UEFI.
  const written = firmware?.argument
  const boot: Boot = {type: written?.value ?? (device.length > 0 ? 'uefi' : 'bios'), ...optional('written', written)}
  const chosen = image ?? imageUrl
  if (!chosen) {
    if (dockerfile) return built && imageOfDockerfile(built, boot, context)
    report.error(vm, 'no image specified', 'add image "path/to/image.qcow2" or image-url "https://…"')
    return undefined
  }
  warnOfForeign(chosen, report)
  const own = ownSettings(chosen.fields, context)
  if (image) {
    const found = image.argument && (await resolveImage(image.argument, boot, context))
    return found && {...found, ...own}
  }
  return imageUrl && buildImageUrl(imageUrl, own, context)
}

/** Publishers put the processor into the name; vmctl runs x86-64 guests on every host. */
const foreign = /(?:^|[-_.])(arm64|aarch64|armhf|armv7|riscv64|ppc64le|ppc64el|s390x|i386|i686)(?=[-_.]|$)/i

const warnOfForeign = ({argument}: NonNullable<VmFields['image' | 'image-url']>, report: Context['report']): void => {
  const name = argument?.value.split('/').at(-1) ?? ''
  const processor = foreign.exec(name)?.[1]
  if (!argument || processor === undefined || /amd64|x86_64/i.test(name)) return
  report.warning(argument, `this image seems to be for ${processor}, which vmctl cannot run yet`, 'use the one for amd64 (x86_64)')
}

const buildImageUrl = (
  {argument, fields}: NonNullable<VmFields['image-url']>,
  own: Partial<ImageReference>,
  context: Context,
): ImageReference | undefined => {
  if (argument?.value.startsWith(ociScheme) && context.imageSchemes.includes('oci')) return buildOciImage({argument, fields}, own, context)
  const url = argument && checkUrl(argument, [...new Set(['http', 'https', ...context.imageSchemes])], context)
  const checksumUrl = fields['checksum-url'] && checkUrl(fields['checksum-url'], ['http', 'https'], context)
  if (url === undefined) return undefined
  return {kind: 'url', source: url, ...own, ...optional('checksumUrl', checksumUrl), ...(fields.insecure?.value && {insecure: true})}
}

const buildOciImage = (
  {argument, fields}: {readonly argument: Located<string>; readonly fields: NonNullable<VmFields['image-url']>['fields']},
  own: Partial<ImageReference>,
  {report}: Context,
): ImageReference | undefined => {
  const reference = parseOciReference(argument.value)
  const list = fields['checksum-url']
  if (list)
    report.error(list, 'a registry has no list of checksums', 'the digest of a certain image is written behind it: "oci://…@sha256:…"')
  if ('message' in reference) {
    report.error(argument, reference.message, reference.hint)
    return undefined
  }
  return {kind: 'url', source: `${ociScheme}${showOciReference(reference)}`, ...own, ...(fields.insecure?.value && {insecure: true})}
}

const ownSettings = (
  {format, os, sha256, sha512}: NonNullable<VmFields['image']>['fields'],
  {report}: Context,
): Partial<ImageReference> => {
  if (sha256 && sha512) {
    report.error(sha256.start > sha512.start ? sha256 : sha512, 'both sha256 and sha512 specified', 'one of the two is enough')
  }
  return {
    ...optional('format', format?.value),
    ...optional('sha256', sha256?.value),
    ...optional('sha512', sha512?.value),
    ...optional('os', os?.value),
  }
}

const resolveImage = async (name: Located<string>, boot: Boot, context: Context): Promise<ImageReference | undefined> => {
  const {report, directory, catalogue} = context
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(name.value)) {
    report.error(name, 'image takes a path, not a URL', 'use image-url for an image to download')
    return undefined
  }
  const {kind, reason} = await lookAt(resolvePath(name.value, directory))
  if (kind !== 'missing' || reason !== undefined || looksLikeImagePath(name.value))
    return {kind: 'file', source: await resolveExisting(name, 'image file', context)}
  const image = findCatalogueImage(catalogue, name.value)
  if (image) return namedImage(image, {name, boot}, report)
  const releases = catalogue.find((publisher) => publisher.name === name.value.split(':')[0])?.releases.map(({tag}) => tag)
  report.error(
    name,
    `image file not found: ${quoted(name.value)}`,
    releases
      ? `the releases of that name are ${releases.join(', ')}`
      : (nearest(name.value, catalogueNames(catalogue)) ??
          `vmctl looks for ${resolvePath(name.value, directory)}; it is no name of an image either: \`vmctl image search\` shows those`),
  )
  return undefined
}

/** An image of the catalogue, when a VM can be made from it. */
const namedImage = (
  image: NonNullable<ReturnType<typeof findCatalogueImage>>,
  {name, boot}: {readonly name: Located<string>; readonly boot: Boot},
  report: Context['report'],
): NamedReference | undefined => {
  const {publisher} = image
  const problem = seedProblem(image)
  if (problem !== undefined) {
    report.error(name, `no VM can be made from ${quoted(image.name)}: ${problem}`, `\`vmctl image pull ${image.name}\` fetches it`)
    return undefined
  }
  if (!isPublishedFor(image, 'x86_64')) {
    report.error(name, `${publisher.title} publishes no ${quoted(image.name)} for x86_64`, 'vmctl runs x86-64 guests')
    return undefined
  }
  const {written: wanted} = boot
  if (wanted && publisher.firmware && publisher.firmware !== wanted.value)
    report.error(wanted, `the image ${quoted(image.name)} boots with ${publisher.firmware} only`, `write firmware "${publisher.firmware}"`)
  if (publisher.seedReader !== 'cloud-init')
    report.warning(
      name,
      `guests of ${publisher.title} read their settings by ${publisher.seedReader}, not by cloud-init`,
      'vmctl may be unable to log in, and knows no services of such a guest',
    )
  return referenceOf(image, boot.type)
}

/** The image that FROM names: a URL, an alias, or a path that starts at the Dockerfile. */
const imageOfDockerfile = async ({spec, image}: BuiltDockerfile, boot: Boot, context: Context): Promise<ImageReference | undefined> => {
  // A VM must be stoppable although its Dockerfile is gone, and then nobody asks for its image.
  if (!image) return context.toleratesMissing ? {kind: 'file', source: spec.path} : undefined
  if (!/^https?:\/\//.test(image.value)) return resolveImage(image, boot, {...context, directory: dirname(spec.path)})
  const url = checkUrl(image, ['http', 'https'], context)
  return url === undefined ? undefined : {kind: 'url', source: url}
}

/** Messages never repeat a URL: it may hold a password or a token. */
const checkUrl = (text: Located<string>, schemes: readonly string[], {report}: Context): string | undefined => {
  const url = URL.parse(text.value)
  const allowed = schemes.map((scheme) => `${scheme}://`).join(', ')
  if (!url || !/^[a-z][a-z0-9+.-]*:\/\/[^\s\p{Cc}]+$/iu.test(text.value)) {
    const isPath = /^(?:[./~]|[\w-]+(?:\/|\.(?:qcow2|img|raw)$))/.test(text.value)
    const isUnquoted = /^https?:$/.test(text.value)
    const hint = isUnquoted
      ? 'put the URL in quotes; // starts a comment'
      : isPath
        ? 'use image for a file on the host'
        : `it starts with ${allowed}`
    report.error(text, 'this is not a URL', hint)
    return undefined
  }
  const scheme = url.protocol.slice(0, -1)
  if (!schemes.includes(scheme)) {
    report.error(
      text,
      `URLs of the scheme ${scheme}: are not supported`,
      scheme === 'file' ? 'use image for a file on the host' : `it starts with ${allowed}`,
    )
    return undefined
  }
  if (url.host === '') {
    report.error(text, 'this URL has no host', `it starts with ${allowed}`)
    return undefined
  }
  return url.href
}

/** What the disk was made from; the rest is about how it came here. */
const contentOf = ({kind, source, format, sha256, sha512, firmware, architecture}: ImageReference): unknown => ({
  kind,
  source,
  format,
  sha256,
  sha512,
  firmware,
  architecture,
})

/**
 * Whether a VM was made by vmctl 0.1.0 from the image of a name, which it recorded as a URL with the publisher's user: the release stands in
 * the URL as a word.
 */
const isOlderRecordOf = (applied: ImageReference, wanted: ImageReference): boolean => {
  if (applied.kind !== 'url' || wanted.kind !== 'name' || applied.user === undefined || applied.user !== wanted.user) return false
  const image = findCatalogueImage(builtInCatalogue, wanted.source)
  const words = image ? [image.release.tag, ...(image.release.names ?? [])] : []
  return applied.source.split(/[/_-]v?|(?<=\/)v/).some((one) => words.includes(one))
}

export const imageChange: Compare<'image'> = (applied, wanted) =>
  isDeepStrictEqual(contentOf(applied), contentOf(wanted)) || isOlderRecordOf(applied, wanted)
    ? {effect: 'now', text: namesOf('image')({...applied}, {...wanted})}
    : {effect: 'reload', text: `image ${displaySource(applied)} → ${displaySource(wanted)}`}
