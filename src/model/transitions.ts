import type {VmState} from './vm.ts'

/** From which states each verb is allowed (the book's table of transitions). */
export const allowedFrom = {
  start: ['prepared', 'stopped', 'failed'],
  stop: ['running', 'suspended'],
  suspend: ['running'],
  resume: ['suspended'],
} as const satisfies Record<string, readonly VmState[]>

/** In which states a verb has nothing left to do. */
export const alreadyIn: Partial<Record<keyof typeof allowedFrom, readonly VmState[]>> = {
  start: ['running'],
  stop: ['prepared', 'stopped', 'failed'],
}
