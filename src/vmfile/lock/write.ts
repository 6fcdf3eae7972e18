import type {Trust} from '../../model/catalogue.ts'
import {inLockOrder, type LockedBuild, type LockedImage} from '../../model/lock.ts'
import {lockVersion} from './grammar.ts'

const head = `// Written by vmctl; commit it. \`vmctl image update\` renews it.\nlock ${lockVersion}\n`

/** The text of a lock file: one fact a line, in an order that depends on nothing else. */
export const lockText = (images: readonly LockedImage[]): string => {
  const byImage = new Map<string, LockedImage[]>()
  for (const one of inLockOrder(images)) byImage.set(one.image, [...(byImage.get(one.image) ?? []), one])
  const blocks = [...byImage].map(([image, builds]) => `\nimage ${text(image)} {\n${builds.flatMap(linesOf).join('')}}\n`)
  return head + blocks.join('')
}

const linesOf = ({architecture, firmware, ...build}: LockedImage): string[] => {
  if (architecture === undefined) return factsOf(build).map((fact) => `    ${fact}\n`)
  const boots = firmware === undefined ? '' : ` firmware=${text(firmware)}`
  return [`    ${architecture}${boots} {\n`, ...factsOf(build).map((fact) => `        ${fact}\n`), '    }\n']
}

const factsOf = ({url, digests, sizeBytes, virtualSizeBytes, format, published, trust}: LockedBuild): string[] =>
  [
    url !== undefined && `url ${text(url)}`,
    digests.sha256 !== undefined && `sha256 ${text(digests.sha256)}`,
    digests.sha512 !== undefined && `sha512 ${text(digests.sha512)}`,
    sizeBytes !== undefined && `size ${sizeBytes}`,
    format !== undefined && `format ${text(format)}`,
    virtualSizeBytes !== undefined && `virtual-size ${virtualSizeBytes}`,
    published !== undefined && `published ${text(published)}`,
    `trust ${trustWords(trust)}`,
  ].filter((fact) => fact !== false)

const trustWords = (trust: Trust): string =>
  trust.level === 'signed' ? `"signed" by=${text(trust.by)} key=${text(trust.fingerprint)}` : text(trust.level)

const escapes: Readonly<Record<string, string>> = {'\\': '\\\\', '"': '\\"', '\n': '\\n', '\t': '\\t'}

/** A string of KDL. */
const text = (value: string): string =>
  `"${value.replaceAll(/[\\"\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => escapes[character] ?? `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`)}"`
