import type {VmState} from './vm.ts'

/** From which states each verb is allowed (the book's table of transitions). */
export const allowedFrom = {
  start: ['prepared', 'stopped', 'failed', 'saved'],
  stop: ['running', 'suspended', 'saved'],
  suspend: ['running'],
  'suspend --disk': ['running', 'suspended'],
  resume: ['suspended', 'saved'],
} as const satisfies Record<string, readonly VmState[]>

/** In which states a verb has nothing left to do. */
export const alreadyIn: Partial<Record<keyof typeof allowedFrom, readonly VmState[]>> = {
  start: ['running'],
  'suspend --disk': ['saved'],
  stop: ['prepared', 'stopped', 'failed'],
}
