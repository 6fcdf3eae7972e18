import {channel} from 'node:diagnostics_channel'

/** One line of what vmctl does below the surface, for VMCTL_LOG. */
export interface DebugMessage {
  /** `process`, `qmp`, `ssh`, `image`, …; a filter such as `VMCTL_LOG=qmp=debug` names it. */
  readonly module: string
  readonly level: 'debug' | 'trace'
  readonly text: string
}

/** The name of the diagnostics channel on which debug messages are published. */
export const debugChannelName = 'vmctl:debug'

const debugChannel = channel(debugChannelName)

/** Publishes a debug message. Costs next to nothing while nobody listens. Never pass secrets. */
export const debug = (module: string, text: () => string, level: DebugMessage['level'] = 'debug'): void => {
  if (debugChannel.hasSubscribers) debugChannel.publish({module, level, text: text()} satisfies DebugMessage)
}
