import {formatText} from './format.ts'
import {areEqual, isKey, isUnknown, joined, unknown, type Value} from './values.ts'

/** Longest text that is made by repeating another. */
const mostRepeated = 10_000

/** An operator between two values; unknown when that is not one that is known. `&&` and `||` are no operators of this kind. */
export const operate = (operator: string, left: Value, right: Value): Value => {
  if (isUnknown(left) || isUnknown(right)) return unknown
  if (['==', '!=', '==='].includes(operator)) {
    const equal = areEqual(left, right)
    return equal === undefined ? unknown : (operator === '!=') !== equal
  }
  if (typeof left === 'number' && typeof right === 'number') return ofNumbers(operator, left, right)
  if (typeof left === 'string') return ofText(operator, left, right)
  return Array.isArray(left) && Array.isArray(right) ? ofLists(operator, left, right) : unknown
}

const ofLists = (operator: string, left: readonly Value[], right: readonly Value[]): Value => {
  if (operator === '+') return [...left, ...right]
  return operator === '-' && right.every(isKey) && left.every(isKey) ? left.filter((one) => !right.includes(one)) : unknown
}

const ofNumbers = (operator: string, left: number, right: number): Value => {
  const isWhole = Number.isInteger(left) && Number.isInteger(right)
  switch (operator) {
    case '+':
      return left + right
    case '-':
      return left - right
    case '*':
      return left * right
    case '/':
      return right === 0 ? unknown : isWhole ? Math.floor(left / right) : left / right
    case '%':
      return right === 0 ? unknown : ((left % right) + right) % right
    case '**':
      return left ** right
    case '<':
      return left < right
    case '<=':
      return left <= right
    case '>':
      return left > right
    case '>=':
      return left >= right
    case '<<':
      return right >= 0 && right < 32 ? left * 2 ** right : unknown
    default:
      return unknown
  }
}

const ofText = (operator: string, left: string, right: Value): Value => {
  if (operator === '%') return formatText(left, Array.isArray(right) ? right : [right])
  if (operator === '*') return repeated(left, right)
  if (typeof right !== 'string') return unknown
  switch (operator) {
    case '+':
    case '<<':
      return joined([left, right])
    case '<':
      return left < right
    case '>':
      return left > right
    default:
      return unknown
  }
}

const repeated = (text: string, times: Value): Value =>
  typeof times === 'number' && times >= 0 && text.length * times <= mostRepeated ? text.repeat(Math.floor(times)) : unknown
