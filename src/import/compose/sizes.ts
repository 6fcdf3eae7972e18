import {parseSize} from '../../model/quantity.ts'
import {type Reader, textOf} from './reader.ts'

/**
 * A size as a VMFile has it, in whole MB: holos counts plain numbers in bytes, and its units are binary, as those of vmctl.
 * qemu-compose has no rule for numbers without a unit, so they are left out.
 */
export const importedSize = (
  reader: Reader,
  value: unknown,
  {isHolos, key}: {readonly isHolos: boolean; readonly key: string},
): string | undefined => {
  const text = textOf(value)
  if (text === undefined) {
    if (value !== undefined && value !== null) reader.warnings.about(reader.place, `${key} is left out: it should be a single value`)
    return undefined
  }
  if (!isHolos && /^\s*[\d.]+\s*$/.test(text)) {
    reader.warnings.about(reader.place, `${key} ${text} is left out: it has no unit; write it with one, such as "20G"`)
    return undefined
  }
  const bytes = parseSize(text, 1)
  if (bytes === undefined || bytes < 2 ** 20) {
    reader.warnings.about(reader.place, `${key} ${JSON.stringify(text)} is left out: it is no size of 1 MB or more`)
    return undefined
  }
  return writtenSize(bytes)
}

/** Whole GB where they are, else MB, of which a broken one counts as a whole one. */
const writtenSize = (bytes: number): string => (bytes % 2 ** 30 === 0 ? `${bytes / 2 ** 30}G` : `${Math.ceil(bytes / 2 ** 20)}M`)
