import type {Style} from './screen.ts'

const styles: Readonly<Record<string, Style>> = {
  running: 'green',
  ready: 'green',
  healthy: 'green',
  done: 'green',
  up: 'green',
  ok: 'green',
  yes: 'green',
  starting: 'yellow',
  preparing: 'yellow',
  suspended: 'yellow',
  saved: 'yellow',
  paused: 'yellow',
  warn: 'yellow',
  failed: 'red',
  unhealthy: 'red',
  unknown: 'red',
  fail: 'red',
  stopped: 'dim',
  prepared: 'dim',
  not: 'dim',
  down: 'dim',
  no: 'dim',
  '-': 'dim',
}

/** The colour of a word that says how something is; what stands behind it only explains. */
export const stateStyle = (text: string): Style | undefined => styles[/^[-\w]+/.exec(text)?.[0] ?? '']
