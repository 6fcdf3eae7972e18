import {isKey, toText, unknown, type Value} from './values.ts'

const directive = /%(?:%|([-0+ ]*)(\d*)(?:\.(\d+))?([sdifxX])|\{(\w+)\}|<(\w+)>([-0]*)(\d*)([sdif]))/g

/** `"%02d" % 5`, `format("%s-%d", "a", 1)` (Ruby, Kernel#format); unknown when a value is not known. */
export const formatText = (pattern: string, args: readonly Value[]): Value => {
  const rest = [...args]
  let isKnown = true
  const text = pattern.replaceAll(directive, (found, ...groups: readonly (string | undefined)[]) => {
    if (found === '%%') return '%'
    const {name, flags, width, type, precision} = directiveOf(groups)
    const value = name === undefined ? rest.shift() : named(args[0], name)
    const written = value === undefined ? undefined : formatOne(value, {type, precision})
    if (written === undefined) isKnown = false
    return pad(written ?? '', flags, width)
  })
  return isKnown ? text : unknown
}

interface Directive {
  /** Of a value in a hash: `%{name}`, `%<name>d`. */
  readonly name: string | undefined
  readonly flags: string
  readonly width: number
  readonly type: string
  readonly precision: string | undefined
}

const directiveOf = ([flags, width, precision, type, braces, angle, angleFlags, angleWidth, angleType]: readonly (
  | string
  | undefined
)[]): Directive =>
  angle === undefined
    ? {name: braces, flags: flags ?? '', width: Number(width ?? 0), type: type ?? 's', precision}
    : {name: angle, flags: angleFlags ?? '', width: Number(angleWidth ?? 0), type: angleType ?? 's', precision: undefined}

const named = (values: Value | undefined, name: string): Value | undefined =>
  values instanceof Map ? (values.get(Symbol.for(name)) ?? undefined) : undefined

const formatOne = (
  value: Value,
  {type, precision}: {readonly type: string; readonly precision: string | undefined},
): string | undefined => {
  if (type === 's') return isKey(value) ? toText(value) : undefined
  const number = typeof value === 'number' ? value : typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : undefined
  if (number === undefined) return undefined
  if (type === 'f') return number.toFixed(Math.min(20, Number(precision ?? 6)))
  if (type === 'd' || type === 'i') return String(Math.floor(number))
  const digits = Math.trunc(number).toString(16)
  return type === 'X' ? digits.toUpperCase() : digits
}

const pad = (text: string, flags: string, width: number): string => {
  const wanted = Math.min(width, 1000)
  if (flags.includes('-')) return text.padEnd(wanted)
  return text.padStart(wanted, flags.includes('0') ? '0' : ' ')
}
