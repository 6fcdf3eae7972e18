import {boolean, text} from '../grammar/kinds.ts'
import {defaulted, list, type Located} from '../grammar/shapes.ts'
import type {Report} from '../kdl/report.ts'

export const mountOptions = list(
  text('mount option', {example: '"noatime"', rule: 'without commas and spaces', isValid: (option) => /^[^\s,\p{Cc}]+$/u.test(option)}),
  'Mount options besides those that vmctl needs.',
)

export const readOnlyField = defaulted(boolean, false, 'Whether the guest can only read it.')

export const refuseTwice = (values: readonly Located<string>[], message: (value: string) => string, report: Report): void => {
  const seen = new Map<string, number>()
  for (const value of values) {
    const first = seen.get(value.value)
    if (first === undefined) seen.set(value.value, value.start)
    else report.error(value, message(value.value), `it is in line ${report.lineOf(first)} already; choose another`)
  }
}
