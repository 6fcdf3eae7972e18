import type {LockChange} from '../engine/manage/image-lock.ts'

/** One line of `vmctl image lock` and `vmctl image update`. */
export const lockLine = ({image, architecture, firmware, change, from, to}: LockChange): string => {
  const guests = [architecture === 'x86_64' ? undefined : architecture, firmware].filter((word) => word !== undefined)
  const name = guests.length > 0 ? `${image} (${guests.join(', ')})` : image
  if (change === 'removed') return `${name}: no longer used, removed`
  if (change === 'updated') return `${name}: ${from} → ${to}`
  return change === 'added' ? `${name}: locked to ${to}` : `${name}: unchanged, ${to}`
}
