/** What a VM has unless it says otherwise, and what it can have; for the VMFile and for options alike. */
export const vcpuLimits = {default: 1, least: 1, most: 1024} as const

/** Bytes. */
export const memoryLimits = {default: 2 ** 30, least: 64 * 2 ** 20} as const

/** Bytes. */
export const leastDiskBytes = 2 ** 20
