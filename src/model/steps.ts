import type {DockerfileSpec} from './dockerfile.ts'

/** What a `provision "shell"` runs: a command line, or a script by its absolute path on the host. */
export type ShellCommand = {readonly inline: string; readonly script?: never} | {readonly script: string; readonly inline?: never}

/** What a `provision "shell"` does. */
export type ShellSettings = ShellCommand & {
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** Variables whose values are neither shown nor kept. */
  readonly secretEnv?: Readonly<Record<string, string>>
  readonly timeoutMs?: number
  /** Program of the guest that runs it, with its own arguments; the shell, or the first line of the script, when absent. */
  readonly interpreter?: string
  readonly privileged: boolean
}

/** What a `provision "file"` does. */
export interface FileSettings {
  /** Absolute path of a file or directory on the host. */
  readonly source: string
  /** Absolute path in the guest. */
  readonly destination: string
  /** Permission bits; those of the source when absent. */
  readonly mode?: number
  /** `user` or `user:group`. */
  readonly owner?: string
  readonly privileged: boolean
  /** Patterns of what a directory is uploaded without. */
  readonly ignore?: readonly string[]
  /** By whose rules they are read; by those of .gitignore when absent. */
  readonly ignoreRules?: 'dockerignore'
  /** Whether the destination loses what the source directory does not have. */
  readonly mirror?: boolean
}

/** What a `provision "reboot"` does. */
export interface RebootSettings {
  /** How long the guest may take to come back; 10 minutes when absent. */
  readonly timeoutMs?: number
}

/** When a provision step that was done runs again: after each start of the VM, when it or a step before it was changed, or never. */
export const runModes = ['always', 'on-change', 'once'] as const

export type RunMode = (typeof runModes)[number]

/** What every step may say. */
interface AnyStep {
  /** The provisioner's own default when absent. */
  readonly run?: RunMode
  /** Whether its result may be kept in a layer, from which other VMs start; where absent, its kind and what it has decide. */
  readonly cache?: boolean
  /** What the step is called; the provisioner describes it when absent. */
  readonly title?: string
}

/** A step of a type that vmctl brings. Its settings were checked when the VMFile was read; by these types, when a program made it. */
export type OwnStep = AnyStep &
  (
    | {readonly type: 'shell'; readonly settings: ShellSettings}
    | {readonly type: 'file'; readonly settings: FileSettings}
    | {readonly type: 'dockerfile'; readonly settings: DockerfileSpec}
    | {readonly type: 'reboot'; readonly settings: RebootSettings}
  )

/** A step of a type that a plugin brings, whose provisioner checks the settings. */
export interface PluginStep extends AnyStep {
  readonly type: string
  readonly settings: Readonly<Record<string, unknown>>
}

/** One provision step as declared. */
export type ProvisionStep = OwnStep | PluginStep

/** Plugins cannot bring a type of vmctl's own, so that the type tells what the settings are. */
export const isStepOf = <Type extends OwnStep['type']>(step: ProvisionStep, type: Type): step is AnyStep & Extract<OwnStep, {type: Type}> =>
  step.type === type
