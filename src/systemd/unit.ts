import {createHash} from 'node:crypto'
import {basename, dirname} from 'node:path'

export interface UnitSettings {
  /** Absolute path. */
  readonly vmfile: string
  /** Name of the project, when the VMFile has one. */
  readonly project?: string
  /** The program and its leading arguments: Node and vmctl. */
  readonly command: readonly string[]
  /** What vmctl needs of the environment: its state directory, PATH. */
  readonly environment: Readonly<Record<string, string>>
  /** Seconds that all guests together may take to power off. */
  readonly stopSeconds: number
  /** Absent for a unit of the user's own manager. */
  readonly system?: {readonly user: string}
}

/** `vmctl-shop.service`; without a project the directory's name and a hash of the path tell units apart. */
export const unitName = ({vmfile, project}: Pick<UnitSettings, 'vmfile' | 'project'>): string => {
  if (project !== undefined) return `vmctl-${project}.service`
  const directory = basename(dirname(vmfile))
    .replaceAll(/[^A-Za-z0-9_.-]+/g, '-')
    .slice(0, 40)
  return `vmctl-${directory}-${createHash('sha256').update(vmfile).digest('hex').slice(0, 8)}.service`
}

/**
 * A unit that brings a project up at boot and stops it at shutdown; it never destroys anything (systemd.service(5)).
 *
 * - No time limit for the start: a first boot may install packages for long, and a limit would kill the VMs with it.
 * - `KillMode=process`: when the start fails half-way, the VMs that are up stay up. Only `ExecStop` ends VMs, by asking the guests.
 */
export const unitText = (settings: UnitSettings): string => {
  const {vmfile, command, environment, stopSeconds, system} = settings
  const shown = settings.project ?? vmfile
  const run = (...args: readonly string[]): string => [...command, ...args, '--file', vmfile].map(execWord).join(' ')
  return [
    '[Unit]',
    `Description=VMs of ${specifiers(shown)} (vmctl)`,
    ...(system ? ['Wants=network-online.target', 'After=network-online.target'] : []),
    '',
    '[Service]',
    'Type=oneshot',
    'RemainAfterExit=yes',
    ...(system ? [`User=${system.user}`] : []),
    `WorkingDirectory=${specifiers(dirname(vmfile))}`,
    ...Object.entries(environment).map(([name, value]) => `Environment=${quoted(specifiers(`${name}=${value}`))}`),
    `ExecStart=${run('up', '--autostart')}`,
    `ExecStop=${run('down')}`,
    'TimeoutStartSec=infinity',
    `TimeoutStopSec=${stopSeconds}`,
    'KillMode=process',
    '',
    '[Install]',
    `WantedBy=${system ? 'multi-user.target' : 'default.target'}`,
    '',
  ].join('\n')
}

/** The VMFile of a unit that `unitText` has written, by its `ExecStart`; undefined for a unit of anybody else. */
export const vmfileOfUnit = (text: string): string | undefined => {
  const match = /^ExecStart=.* up --autostart --file (?:"(?<quoted>(?:\\.|[^"\\])*)"|(?<plain>\S+))$/m.exec(text)
  const word = match?.groups?.plain ?? match?.groups?.quoted?.replaceAll(/\\(.)/g, '$1')
  return word?.replaceAll('$$', '$').replaceAll('%%', '%')
}

/** systemd.unit(5), "Specifiers". */
const specifiers = (text: string): string => text.replaceAll('%', '%%')

/** systemd.syntax(7), "Quoting". */
const quoted = (text: string): string => `"${text.replaceAll(/["\\]/g, String.raw`\$&`)}"`

/** One word of a command line, in which `$` begins a variable (systemd.service(5), "Command lines"). */
const execWord = (word: string): string => {
  const safe = specifiers(word).replaceAll('$', '$$$$')
  return /^[\w./:@%+=,-]+$/.test(safe) ? safe : quoted(safe)
}
