import {asTyped} from '../model/quote.ts'
import type {Report} from './kdl/report.ts'

const isYaml = (text: string): boolean => {
  const [first, ...rest] = text.split('\n').filter((line) => !/^\s*(?:#|$)/.test(line))
  if (first === undefined) return false
  if (/^(?:---|%YAML)/.test(first)) return true
  // `vcpus: 2` is a slip in a VMFile; lines below that are indented without a brace are none.
  return (
    /^[\w"'.-]+:(?:\s|$)/.test(first) &&
    !first.includes('{') &&
    rest.some((line) => /^\s+(?:- |[\w"'.-]+:(?:\s|$))/.test(line)) &&
    !/\{\s*$/m.test(text)
  )
}

/** How texts that are no KDL begin; of YAML only what KDL would not have as well. */
const languages: readonly (readonly [string, (text: string) => boolean])[] = [
  ['JSON', (text) => /^[[{]\s*(?:["{[]|[\]}]\s*$)/.test(text)],
  ['XML', (text) => /^<[?!a-zA-Z]/.test(text)],
  ['a Vagrantfile', (text) => /^(?:\s*(?:#.*)?\n)*\s*Vagrant\./.test(text)],
  ['YAML', isYaml],
]

/** Says of a text in another language that it is none of ours, instead of what is wrong with each of its lines. */
export const refuseOtherLanguage = (text: string, file: string, report: Report): void => {
  const start = text.replace(/^\uFEFF?\s*/, '')
  const [language] = languages.find(([, is]) => is(start)) ?? []
  if (language === undefined) return
  const offset = text.length - start.length
  const importable = /\.kdl$/i.test(file) ? 'FILE' : asTyped(file)
  report.syntax(
    {start: offset, end: offset + 1},
    `this is ${language}, and a VMFile is KDL`,
    `\`vmctl import ${importable} --output VMFile.kdl\` makes a VMFile of a holos.yaml, a qemu-compose.yaml, a Vagrantfile or the XML of libvirt; \`vmctl init\` begins one`,
  )
}
