import {posix} from 'node:path'

import {isDnsLabel, isVmName, vmNameRule} from '../../model/names.ts'
import {parseDuration, parseSize} from '../../model/quantity.ts'
import type {Fail, Kind} from './shapes.ts'
import type {Scalar} from '../kdl/tree.ts'
import {describe, listOf, nearest, plain, quoted, withArticle} from '../kdl/wording.ts'

export const expected = (what: string, value: Scalar, fail: Fail, hint?: string): undefined =>
  fail(`expected ${what}, found ${describe(value)}`, hint)

interface TextRule {
  /** In words; also the hint for a text that is not valid. */
  readonly rule?: string
  readonly isValid?: (value: string) => boolean
  readonly example?: string
}

/** A text that is not empty. */
export const text = (type = 'text', {rule, isValid = () => true, example = '"…"'}: TextRule = {}): Kind<string> => ({
  type,
  ...(rule === undefined ? {} : {rule}),
  example,
  read(value, fail) {
    if (typeof value !== 'string') {
      return expected(withArticle(type), value, fail, canBeQuoted(value, type) ? `write it in quotes: "${value}"` : undefined)
    }
    if (value === '') return fail(`the ${type} must not be empty`)
    if (value.includes('\0')) return fail(`the ${type} contains the character U+0000`)
    return isValid(value) ? value : fail(`${quoted(value)} is not a valid ${type}`, rule)
  },
})

const canBeQuoted = (value: Scalar, type: string): boolean => typeof value === 'number' || (typeof value === 'boolean' && type === 'text')

/** A text that may be empty, such as the value of an environment variable. */
export const anyText: Kind<string> = {
  type: 'text',
  example: '"…"',
  read: (value, fail) => (value === '' ? '' : text().read(value, fail)),
}

export const path = (example: string): Kind<string> => text('path', {example})

/** The name of something that has a directory or a file of its own. */
export const fileSafeName = (noun: string, example: string): Kind<string> => text(noun, {rule: vmNameRule, isValid: isVmName, example})

export const vmName = fileSafeName('VM name', '"web"')

/** A name that becomes part of host names. */
export const label = (noun: string, example: string): Kind<string> =>
  text(noun, {rule: 'letters, digits and inner dashes, 63 characters at most', isValid: isDnsLabel, example})

/** An absolute path in the guest, without superfluous slashes and dots; something else than the root is mounted there. */
export const mountPoint: Kind<string> = {
  type: 'path in the guest',
  rule: 'it must be absolute, and not / itself',
  example: '"/srv"',
  read(value, fail) {
    const written = text('path in the guest', {example: '"/srv"'}).read(value, fail)
    if (written === undefined) return undefined
    if (!written.startsWith('/'))
      return fail(`${quoted(written)} is not an absolute path`, 'it is a path in the guest, which starts with /')
    if (/\p{Cc}/u.test(written)) return fail('the path in the guest contains a control character')
    const target = posix.normalize(written).replace(/\/+$/, '')
    return target === '' ? fail('nothing can be mounted over /', 'name a directory, such as "/srv"') : target
  },
}

export const boolean: Kind<boolean> = {
  type: 'boolean',
  words: ['#true', '#false'],
  example: '#true',
  read(value, fail) {
    if (typeof value === 'boolean') return value
    const meant = /^(?:true|yes|on|1)$/i.test(String(value)) ? '#true' : /^(?:false|no|off|0)$/i.test(String(value)) ? '#false' : undefined
    return expected('#true or #false', value, fail, meant && `write ${meant}`)
  },
}

export const integer = (least: number, most: number, example: string): Kind<number> => ({
  type: 'integer',
  rule: `${least} to ${most}`,
  example,
  read(value, fail) {
    if (typeof value === 'string' && /^\d+$/.test(value)) return expected('an integer', value, fail, `write it without quotes: ${value}`)
    if (typeof value !== 'number' || !Number.isInteger(value)) return expected('an integer', value, fail)
    return value >= least && value <= most ? value : fail(`${value} is out of range`, `it can be ${least} to ${most}`)
  },
})

interface SizeRule {
  readonly unit: 'MB' | 'GB'
  readonly leastBytes: number
  readonly least: string
  /** Sizes are whole multiples of this. */
  readonly stepBytes: number
  readonly example: string
}

const unitBytes = {MB: 2 ** 20, GB: 2 ** 30} as const
const mostBytes = 2 ** 50
const most = 'at most 1024T'

/** A size that `parseSize` refuses only because it is beyond 2^53 bytes. */
const isHuge = (value: number | string): boolean => typeof value === 'number' || parseSize(value.replace(/^\d+/, '1'), 1) !== undefined

/** A size in bytes: an integer in the unit of the node, or a text with a unit of its own. */
export const size = ({unit, leastBytes, least, stepBytes, example}: SizeRule): Kind<number> => ({
  type: 'size',
  rule: `an integer in ${unit}, or a text such as "2G" or "512MiB"; at least ${least}`,
  example,
  read(value, fail) {
    const examples = `write ${example} for ${unit}, or a text with a unit such as "2G" or "512MiB"`
    if (typeof value === 'number' && !Number.isInteger(value)) return expected(`a whole number of ${unit}`, value, fail, examples)
    if (typeof value !== 'number' && typeof value !== 'string') return expected('a size', value, fail, examples)
    if (typeof value === 'number' && value < 0) return fail('a size is not negative', `at least ${least}`)
    const bytes = parseSize(String(value), unitBytes[unit])
    if (bytes === undefined) return isHuge(value) ? fail('this size is too large', most) : expected('a size', value, fail, examples)
    if (bytes < leastBytes)
      return fail(`${typeof value === 'number' ? `${value} ${unit}` : quoted(value)} is too small`, `at least ${least}`)
    if (bytes > mostBytes) return fail('this size is too large', most)
    return bytes % stepBytes === 0 ? bytes : fail('this is not a whole number of MB', `write a size in ${unit}`)
  },
})

interface DurationRule {
  readonly leastMs: number
  readonly least: string
  readonly example?: string
}

/** A duration in milliseconds. */
export const durationOf = ({leastMs, least, example = '"10m"'}: DurationRule): Kind<number> => ({
  type: 'duration',
  rule: `an integer in seconds, or a text such as "90s", "2m30s" or "500ms"; ${least}`,
  example,
  read(value, fail) {
    const hint = 'write seconds, or a text such as "90s", "2m30s" or "500ms"'
    if (typeof value !== 'number' && typeof value !== 'string') return expected('a duration', value, fail, hint)
    const milliseconds = parseDuration(String(value))
    if (milliseconds === undefined) return expected('a duration', value, fail, hint)
    // Timers of JavaScript end at 2^31 ms and fire at once beyond it.
    if (milliseconds >= 2 ** 31) return fail('this duration is too long', 'at most 24 days')
    if (leastMs === 1 && milliseconds < 1) return fail('a duration must be more than 0')
    return milliseconds >= leastMs ? milliseconds : fail('this duration is too short', least)
  },
})

export const duration = durationOf({leastMs: 1, least: 'more than 0'})

/** One of a few words. */
export const word = <const W extends string>(noun: string, ...words: readonly W[]): Kind<W> => ({
  type: noun,
  words,
  example: `"${words[0]}"`,
  read(value, fail) {
    const found = words.find((candidate) => candidate === value)
    if (found !== undefined) return found
    const all = `it can be ${listOf(words)}`
    if (typeof value !== 'string') return expected(withArticle(noun), value, fail, all)
    return fail(`unknown ${noun}: ${plain(value)}`, nearest(value, words) ?? all)
  },
})

/** A file mode, written in octal and quoted, because 0640 is the number 640 in KDL. */
export const fileMode: Kind<number> = {
  type: 'file mode',
  rule: 'octal digits in quotes',
  example: '"0640"',
  read(value, fail) {
    if (typeof value === 'number') return expected('a file mode', value, fail, 'write octal digits in quotes, as in "0640"')
    if (typeof value !== 'string' || !/^0?[0-7]{3,4}$/.test(value))
      return expected('a file mode', value, fail, 'write octal digits, as in "0640"')
    return Number.parseInt(value, 8)
  },
}

/** A hash in hexadecimal, read as lower case. */
export const digest = (algorithm: 'sha256' | 'sha512'): Kind<string> => {
  const digits = {sha256: 64, sha512: 128}[algorithm]
  return {
    type: algorithm,
    rule: `${digits} hexadecimal digits`,
    example: '"…"',
    read(value, fail) {
      if (typeof value !== 'string') return expected(`a ${algorithm}`, value, fail, 'write it in quotes')
      if (/^[\da-f]+$/i.test(value) && value.length === digits) return value.toLowerCase()
      const other = algorithm === 'sha256' ? 'sha512' : 'sha256'
      const isOther = /^[\da-f]+$/i.test(value) && value.length === (other === 'sha512' ? 128 : 64)
      const found = /^[\da-f]+$/i.test(value) ? value.length : 'something else'
      return fail(`a ${algorithm} has ${digits} hexadecimal digits, found ${found}`, isOther ? `this looks like a ${other}` : undefined)
    },
  }
}

/** Of an OpenPGP key, as upper-case hex. */
export const fingerprint: Kind<string> = {
  type: 'fingerprint',
  rule: '40 hexadecimal digits, or 64 of a key of version 6',
  example: '"D2EB44626FDDC30B513D5BB71A5D6C4C7DB87C81"',
  read(value, fail) {
    if (typeof value !== 'string') return expected('a fingerprint', value, fail, 'write it in quotes')
    const digits = value.replaceAll(/[\s:]/g, '').toUpperCase()
    if (/^(?:[0-9A-F]{40}|[0-9A-F]{64})$/.test(digits)) return digits
    return fail(`${quoted(value)} is not a fingerprint`, 'it has 40 hexadecimal digits; the short ID of a key is not enough')
  },
}

/** A public key as minisign prints it: 42 bytes, of which the first two say Ed25519. */
const minisignKey = /^RW[A-Za-z0-9+/]{54}$/

export const isMinisignKey = (value: string): boolean => minisignKey.test(value)

/** By which a signature is known: a fingerprint, or a key of minisign. */
export const signer: Kind<string> = {
  ...fingerprint,
  type: 'fingerprint or minisign key',
  rule: `${fingerprint.rule}; a public key of minisign begins with RW`,
  read: (value, fail) => (typeof value === 'string' && isMinisignKey(value) ? value : fingerprint.read(value, fail)),
}

/** A day. */
export const date: Kind<string> = {
  type: 'date',
  rule: 'YYYY-MM-DD',
  example: '"2028-06-30"',
  read(value, fail) {
    if (typeof value !== 'string' || !/^\d{4}-\d\d-\d\d$/.test(value) || Number.isNaN(Date.parse(value)))
      return expected('a date', value, fail, 'write it as "2028-06-30"')
    return value
  },
}
