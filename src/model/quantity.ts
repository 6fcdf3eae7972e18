const binaryUnits: Readonly<Record<string, number>> = {
  b: 1,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
}

/**
 * Parses a size such as `20G`, `512MiB`, `1.5g` (binary units) or `4096` (in `unitBytes`).
 * @returns bytes, or undefined when the text is not a size or not a whole number of bytes
 */
export const parseSize = (text: string, unitBytes: number): number | undefined => {
  const match = /^(\d+(?:\.\d+)?)\s*(?:([kmgtb])(?:i?b)?)?$/i.exec(text.trim())
  if (!match?.[1]) return undefined
  const unit = match[2] === undefined ? unitBytes : binaryUnits[match[2].toLowerCase()]
  const bytes = Number(match[1]) * (unit ?? Number.NaN)
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

const durationUnits: Readonly<Record<string, number>> = {ms: 1, s: 1000, m: 60_000, h: 3_600_000}

/**
 * Parses a duration such as `90s`, `2m30s`, `500ms`, `1h` or `30` (seconds).
 * @returns milliseconds, or undefined when the text is not a duration
 */
export const parseDuration = (text: string): number | undefined => {
  if (/^\d+$/.test(text)) {
    const milliseconds = Number(text) * 1000
    return Number.isSafeInteger(milliseconds) ? milliseconds : undefined
  }
  if (!/^(?:\d+(?:\.\d+)?(?:ms|s|m|h))+$/.test(text)) return undefined
  let total = 0
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)) {
    total += Number(amount) * (durationUnits[unit ?? ''] ?? Number.NaN)
  }
  return Number.isSafeInteger(Math.round(total)) ? Math.round(total) : undefined
}

/** `640.0 MB`, `1.21 GB`: the two units in which the book prints sizes (binary). */
export const formatSize = (bytes: number): string => {
  if (bytes < 2 ** 10) return `${bytes} B`
  if (bytes < 2 ** 20) return `${(bytes / 2 ** 10).toFixed(1)} KB`
  if (bytes < 2 ** 30) return `${(bytes / 2 ** 20).toFixed(1)} MB`
  return `${(bytes / 2 ** 30).toFixed(2)} GB`
}

/** `0.4 s`, `12 s`, `2 min 5 s`, `3 h 20 min`. */
export const formatDuration = (milliseconds: number): string => {
  const seconds = milliseconds / 1000
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  if (whole < 60) return `${whole} s`
  const minutes = Math.floor(whole / 60)
  return minutes < 60 ? `${minutes} min ${whole % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

/** How long ago something was, roughly: `5 minutes`, `3 days`. */
export const formatAge = (milliseconds: number): string => {
  const minutes = Math.floor(milliseconds / 60_000)
  if (minutes < 1) return 'less than a minute'
  const [count, unit] =
    minutes < 60 ? [minutes, 'minute'] : minutes < 2880 ? [Math.floor(minutes / 60), 'hour'] : [Math.floor(minutes / 1440), 'day']
  return `${count} ${unit}${count === 1 ? '' : 's'}`
}
