import {DOMParser, type Element} from '@xmldom/xmldom'

import {messageOf} from '../../model/errors.ts'
import {ImportError} from '../draft.ts'

export type {Element} from '@xmldom/xmldom'

/** Says something of the domain that is not carried over. */
export type About = (message: string) => void

/**
 * The root of a domain's XML.
 * @throws ImportError when it is not well-formed, or something else
 */
export const parseDomain = (xml: string): Element => {
  let root: Element | null
  try {
    const problems: string[] = []
    const parser = new DOMParser({onError: (_level, message) => void problems.push(message)})
    root = parser.parseFromString(xml, 'text/xml').documentElement
    if (problems[0] !== undefined) throw new ImportError(problems[0].split('\n')[0] ?? 'it is damaged')
  } catch (error) {
    throw new ImportError(`this is not XML: ${messageOf(error)}`, {cause: error})
  }
  if (root?.tagName === 'domain') return root
  const inner = root === null ? undefined : all(root, 'domain')[0]
  if (inner) throw new ImportError(`this is a <${root?.tagName}>: give its <domain> alone, as \`virsh dumpxml\` prints it`)
  throw new ImportError('this is not the XML of a libvirt domain')
}

/** The elements at a path below an element: `devices/disk`. */
export const all = (element: Element, path: string): readonly Element[] =>
  path
    .split('/')
    .reduce<readonly Element[]>((found, tag) => found.flatMap((one) => children(one).filter(({nodeName}) => nodeName === tag)), [element])

export const children = (element: Element): readonly Element[] =>
  [...element.childNodes].filter((child): child is Element => child.nodeType === child.ELEMENT_NODE)

export const textOf = (element: Element, path: string): string | undefined => all(element, path)[0]?.textContent?.trim()

export const attribute = (element: Element, path: string, name: string): string | undefined =>
  all(element, path)[0]?.getAttribute(name) ?? undefined

export const own = (element: Element, name: string): string | undefined => element.getAttribute(name) ?? undefined

/** Units as in libvirt's virScaleInteger: powers of 1024, of 1000 with a B alone (`KB`), KiB when absent. */
export const bytesOf = (text: string | undefined, unit = 'KiB'): number | undefined => {
  if (text === undefined || !/^\d{1,18}$/.test(text)) return undefined
  if (/^b(?:ytes?)?$/i.test(unit)) return Number(text)
  const power = 'kmgtpe'.indexOf(unit[0]?.toLowerCase() ?? '?') + 1
  if (power === 0 || !/^.(?:i?b)?$/i.test(unit)) return undefined
  return Number(text) * (/^.b$/i.test(unit) ? 1000 ** power : 1024 ** power)
}
