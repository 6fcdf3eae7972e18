/** What a VM has unless it says otherwise, and what it can have; for the VMFile and for options alike. */
export const vcpuLimits = {default: 1, least: 1, most: 1024} as const

/** Bytes. */
export const memoryLimits = {default: 2 ** 30, least: 64 * 2 ** 20} as const

/**
 * Layers of provision steps. One is kept where it saves at least so many milliseconds, on top of at most so many others; all of them
 * take at most so many bytes, and one that was not used for so many milliseconds goes.
 */
export const layerLimits = {leastMs: 2000, mostBelow: 11, mostBytes: 20 * 2 ** 30, unusedMs: 30 * 86_400_000} as const

/** Bytes. */
export const leastDiskBytes = 2 ** 20
