import {subscribe} from 'node:diagnostics_channel'

import {debugChannelName, type DebugMessage} from '../model/debug.ts'
import {stripControls} from '../model/strip.ts'

const levels = ['error', 'warn', 'info', 'debug', 'trace'] as const

export type LogLevel = (typeof levels)[number]

export interface LogFilter {
  readonly level: LogLevel
  /** Levels of single modules: `qmp=trace`. */
  readonly modules: ReadonlyMap<string, LogLevel>
}

/** What `--debug` asks for. */
export const everything: LogFilter = {level: 'debug', modules: new Map()}

const isLevel = (word: string): word is LogLevel => (levels as readonly string[]).includes(word)

/** Reads VMCTL_LOG, or RUST_LOG as in the vmctl book: `debug`, `qmp=trace,ssh=debug`. What it does not understand is left out. */
export const logLevel = (env: NodeJS.ProcessEnv = process.env): LogFilter => {
  const modules = new Map<string, LogLevel>()
  let level: LogLevel = 'info'
  for (const word of (env.VMCTL_LOG ?? env.RUST_LOG ?? '').toLowerCase().split(',')) {
    const [name = '', value] = word.trim().split('=')
    if (value === undefined && isLevel(name)) level = name
    // The book writes `vm_manager::ssh`; the last part is what we call the module.
    else if (value !== undefined && isLevel(value)) modules.set(name.split('::').at(-1) ?? '', value)
  }
  return {level, modules}
}

/** Prints debug messages to standard error when the filter asks for them. */
export const listenToDebug = ({level, modules}: LogFilter): void => {
  const most = Math.max(levels.indexOf(level), ...[...modules.values()].map((value) => levels.indexOf(value)))
  if (most < levels.indexOf('debug')) return
  subscribe(debugChannelName, (message) => {
    if (!isDebugMessage(message)) return
    const wanted = modules.get(message.module) ?? level
    if (levels.indexOf(message.level) > levels.indexOf(wanted)) return
    process.stderr.write(`${message.level.toUpperCase()} ${message.module}: ${stripControls(message.text)}\n`)
  })
}

const isDebugMessage = (value: unknown): value is DebugMessage =>
  typeof value === 'object' && value !== null && 'module' in value && 'text' in value
