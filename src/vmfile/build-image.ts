import type {ImageReference} from '../model/vm.ts'
import {type Context, optional, resolveExisting} from './context.ts'
import type {Span} from './report.ts'
import type {vmfile} from './schema.ts'
import type {Located, ReadFields} from './shapes.ts'

type VmFields = ReadFields<(typeof vmfile)['fields']['vm']['fields']>

/** The one image source of a VM; undefined when there is none, or none that can be used. */
export const buildImage = async (
  vm: Span,
  {image, 'image-url': imageUrl}: VmFields,
  context: Context,
): Promise<ImageReference | undefined> => {
  const {report} = context
  if (image && imageUrl) {
    const second = image.start > imageUrl.start ? image : imageUrl
    report.error(second, 'both image and image-url specified', 'use either image or image-url, not both')
  }
  if (!image && !imageUrl) report.error(vm, 'no image specified', 'add image "path/to/image.qcow2" or image-url "https://…"')
  const chosen = image ?? imageUrl
  if (!chosen) return undefined
  const {format, sha256, sha512} = chosen.fields
  if (sha256 && sha512) {
    report.error(sha256.start > sha512.start ? sha256 : sha512, 'both sha256 and sha512 specified', 'one of the two is enough')
  }
  const common = {...optional('format', format?.value), ...optional('sha256', sha256?.value), ...optional('sha512', sha512?.value)}
  if (image) {
    if (!image.argument) return undefined
    return {kind: 'file', source: await resolveImage(image.argument, context), ...common}
  }
  const url = imageUrl?.argument && checkUrl(imageUrl.argument, ['http', 'https', ...context.imageSchemes], context)
  const checksum = imageUrl?.fields['checksum-url']
  const checksumUrl = checksum && checkUrl(checksum, ['http', 'https'], context)
  return url === undefined ? undefined : {kind: 'url', source: url, ...common, ...optional('checksumUrl', checksumUrl)}
}

const resolveImage = async (path: Located<string>, context: Context): Promise<string> => {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(path.value)) {
    context.report.error(path, 'image takes a path, not a URL', 'use image-url for an image to download')
    return path.value
  }
  return resolveExisting(path, 'image file', context)
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
        ? 'use image for a file on this computer'
        : `it starts with ${allowed}`
    report.error(text, 'this is not a URL', hint)
    return undefined
  }
  const scheme = url.protocol.slice(0, -1)
  if (!schemes.includes(scheme)) {
    report.error(
      text,
      `URLs of the scheme ${scheme}: are not supported`,
      scheme === 'file' ? 'use image for a file on this computer' : `it starts with ${allowed}`,
    )
    return undefined
  }
  if (url.host === '') {
    report.error(text, 'this URL has no host', `it starts with ${allowed}`)
    return undefined
  }
  return url.href
}
