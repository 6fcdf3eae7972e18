import {gunzipSync} from 'node:zlib'

import {load, YAMLException} from 'js-yaml'

/** Something about a file for cloud-init that the guest would stumble over, or pass over in silence. */
export interface SeedFinding {
  readonly severity: 'error' | 'warning'
  readonly message: string
  readonly hint: string
}

/** What a file of a seed is: the one is told by its first line, the other is YAML. */
export type SeedFileKind = 'user-data' | 'vendor-data' | 'network-config'

/**
 * Looks at a file for cloud-init as cloud-init will: by its first line ("User-data formats" of its documentation), and at what is
 * YAML as its parser does (YAML 1.1, of which only what is no YAML of either version is found here).
 */
export const examineSeedFile = (kind: SeedFileKind, bytes: Uint8Array): readonly SeedFinding[] => {
  if (kind === 'network-config') return examineYaml(textOf(bytes), kind)
  const isPacked = bytes[0] === 0x1f && bytes[1] === 0x8b
  const unpacked = isPacked ? unpack(bytes) : bytes
  if (unpacked === undefined)
    return [{severity: 'error', message: `the ${kind} file is damaged: gzip cannot unpack it`, hint: 'pack it anew'}]
  return examineText(textOf(unpacked), kind)
}

const limitBytes = 16 * 2 ** 20

const unpack = (bytes: Uint8Array): Uint8Array | undefined => {
  try {
    return gunzipSync(bytes, {maxOutputLength: limitBytes})
  } catch {
    return undefined
  }
}

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8')

/** First lines that cloud-init knows; what stands behind them does not matter. */
const known = ['#!', '#cloud-config', '#cloud-boothook', '#include', '#part-handler', '## template: jinja']

const examineText = (text: string, kind: SeedFileKind): readonly SeedFinding[] => {
  const error = (message: string, hint: string): SeedFinding[] => [{severity: 'error', message: `the ${kind} file ${message}`, hint}]
  if (text.trim() === '') return error('is empty', 'leave it out, or write #cloud-config in its first line and settings below')
  if (text.slice(0, 4096).toLowerCase().includes('mime-version:')) return []
  const start = text.trimStart().toLowerCase()
  if (text.startsWith('\uFEFF'))
    return error('begins with a byte order mark, so cloud-init does not know its first line', 'save it as UTF-8 without BOM')
  if (!known.some((one) => start.startsWith(one))) {
    const [first = ''] = text.trimStart().split('\n')
    const hint = /^#\s*cloud-?\s*config/i.test(first)
      ? 'write #cloud-config, without a space'
      : 'write #cloud-config in its first line, or #! and an interpreter'
    return error(
      `does not begin with a line that cloud-init knows, which passes over it then: ${JSON.stringify(first.trim().slice(0, 60))}`,
      hint,
    )
  }
  if (start.startsWith('#!'))
    return /^#!.*\r/.test(text.trimStart())
      ? error('is a script with Windows line ends, which no guest can run', 'save it with Unix line ends (LF)')
      : []
  return /^#cloud-config(?!-)/.test(start) ? examineYaml(text, kind) : []
}

const examineYaml = (text: string, kind: SeedFileKind): readonly SeedFinding[] => {
  try {
    const document = load(text)
    if (document === null || document === undefined) return [nothing(kind)]
    return typeof document === 'object' && !Array.isArray(document) ? [] : [noMapping(kind)]
  } catch (error) {
    if (!(error instanceof YAMLException)) throw error
    return explain(error, text, kind)
  }
}

const nothing = (kind: SeedFileKind): SeedFinding => ({
  severity: 'warning',
  message: `the ${kind} file says nothing`,
  hint: 'leave it out, or write settings into it',
})

const noMapping = (kind: SeedFileKind): SeedFinding => ({
  severity: 'error',
  message: `the ${kind} file is no YAML mapping, so cloud-init passes over it`,
  hint: 'write settings as `key: value`',
})

const explain = ({reason, mark}: YAMLException, text: string, kind: SeedFileKind): readonly SeedFinding[] => {
  const line = mark === undefined ? '' : ` in line ${mark.line + 1}`
  // The parser of cloud-init takes the last one, and knows some types of Python.
  if (reason.startsWith('duplicated mapping key')) {
    const key = mark === undefined ? '' : (text.split('\n')[mark.line] ?? '').trim().split(':')[0]
    return [
      {
        severity: 'warning',
        message: `the ${kind} file gives a key twice${line}: ${JSON.stringify(key)}`,
        hint: 'cloud-init takes the last one only; write one of the two',
      },
    ]
  }
  if (reason.includes('tag:yaml.org,2002:python/')) return []
  if (reason.startsWith('expected a document')) return [nothing(kind)]
  const isTab = reason.startsWith('tab characters')
  return [
    {
      severity: 'error',
      message: `the ${kind} file is no YAML${line}: ${isTab ? 'a tab stands where only spaces may' : reason}`,
      hint: isTab ? 'indent with spaces' : 'correct it there, or in the line before',
    },
  ]
}
