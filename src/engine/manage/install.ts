import {access, readFile, rm, stat} from 'node:fs/promises'
import {homedir, userInfo} from 'node:os'
import {dirname, join} from 'node:path'

import {ioError, makeDirectory, readIfExists, writeFileAtomic, pathExists} from '../../host/files.ts'
import {lastLines, run, type RunResult} from '../../host/process.ts'
import {VmctlError} from '../../model/errors.ts'
import {quote} from '../../model/quote.ts'
import {unitName, unitText, vmfileOfUnit} from '../../systemd/unit.ts'
import type {Vmfile} from '../../vmfile/index.ts'
import {stopGraceMs} from '../vm/apply.ts'
import type {Engine} from '../engine.ts'

export interface InstallOptions {
  readonly vmfile: Vmfile
  /** A unit of the system, started before anybody logs in, instead of one of this user. */
  readonly system: boolean
  /** Who runs the VMs of a unit of the system; the owner of the VMFile when absent. */
  readonly user?: string | undefined
  /** The program and its leading arguments: Node and vmctl. */
  readonly command: readonly string[]
}

/** What is, or would be, installed. */
export interface Installation {
  readonly unit: string
  /** Absolute path of the unit file. */
  readonly path: string
  readonly text: string
  /** What the user should know or still do. */
  readonly notices: readonly string[]
}

/** The unit of a VMFile; nothing is written. */
export const planInstallation = async (engine: Engine, options: InstallOptions): Promise<Installation> => {
  const {vmfile, system, user, command} = options
  if (/[\r\n]/.test([vmfile.path, ...command].join(''))) {
    throw new VmctlError('vmctl::usage::invalid', 'A path with a line break cannot stand in a systemd unit.')
  }
  const unit = unitOf(vmfile)
  const text = unitText({
    vmfile: vmfile.path,
    ...projectOf(vmfile),
    command,
    environment: environmentOf(engine, system),
    stopSeconds: stopSeconds(vmfile),
    ...(system && {system: {user: user === undefined ? await ownerOf(vmfile.path) : await existingUser(engine, user)}}),
  })
  return {unit, path: join(unitDirectory(engine, system), unit), text, notices: system ? [] : await lingering()}
}

/**
 * Writes the unit of a VMFile and tells systemd.
 * @param enable whether it is to be started at every boot from now on
 * @throws VmctlError `vmctl::systemd::failed` when systemd does not answer, `vmctl::systemd::owned_elsewhere` when another VMFile has
 *   a unit of that name; nothing is written then
 */
export const install = async (engine: Engine, options: InstallOptions & {readonly enable: boolean}): Promise<Installation> => {
  const installation = await planInstallation(engine, options)
  const {path, text, unit} = installation
  const tell = systemctl(engine, options.system)
  await requireOwner(path, unit, options.vmfile)
  await tell('show', '--property=Version')
  await makeDirectory(dirname(path))
  await writeFileAtomic(path, text, 0o644)
  await tell('daemon-reload')
  if (options.enable) await tell('enable', unit)
  const next = `start it now with \`systemctl ${options.system ? '' : '--user '}start ${unit}\``
  return {...installation, notices: [...installation.notices, ...(options.enable ? [next] : [`${next}, at every boot with --enable`])]}
}

/**
 * Takes the unit of a VMFile away, and leaves the VMs as they are. Does nothing when there is none.
 * @throws VmctlError `vmctl::systemd::owned_elsewhere` when the unit of that name is another VMFile's
 */
export const uninstall = async (
  engine: Engine,
  {vmfile, system}: Pick<InstallOptions, 'vmfile' | 'system'>,
): Promise<{readonly unit: string; readonly path: string; readonly removed: boolean}> => {
  const unit = unitOf(vmfile)
  const path = join(unitDirectory(engine, system), unit)
  if (!(await pathExists(path))) return {unit, path, removed: false}
  await requireOwner(path, unit, vmfile)
  const tell = systemctl(engine, system)
  await tell('disable', unit)
  await rm(path, {force: true}).catch((error: unknown) => {
    throw ioError('remove', path, error)
  })
  await tell('daemon-reload')
  return {unit, path, removed: true}
}

const projectOf = ({vms}: Vmfile): {readonly project?: string} => {
  const project = vms[0]?.project
  return project === undefined ? {} : {project}
}

const unitOf = (vmfile: Vmfile): string => unitName({vmfile: vmfile.path, ...projectOf(vmfile)})

/** Projects of one name would share a unit. That of a VMFile which is gone may be replaced: it could not start anything. */
const requireOwner = async (path: string, unit: string, {path: vmfile}: Vmfile): Promise<void> => {
  const text = await readIfExists(path)
  if (text === undefined) return
  const owner = vmfileOfUnit(text)
  if (owner === vmfile) return
  if (owner === undefined) {
    throw new VmctlError('vmctl::systemd::owned_elsewhere', `${path} exists already and was not written by vmctl.`, {
      help: 'Give the project another name, or remove that unit first.',
      details: {unit, path},
    })
  }
  if (!(await pathExists(owner))) return
  throw new VmctlError(
    'vmctl::systemd::owned_elsewhere',
    `The unit ${unit} belongs to another VMFile, whose project has the same name: ${owner}.`,
    {
      help: `Give one of the two projects another name, or take the unit away first: \`vmctl uninstall --file ${quote(owner)}\`.`,
      details: {unit, path, owner},
    },
  )
}

const unitDirectory = ({env}: Engine, system: boolean): string =>
  system ? '/etc/systemd/system' : join(env.XDG_CONFIG_HOME || join(env.HOME || homedir(), '.config'), 'systemd/user')

/** systemd gives units a PATH without /usr/local/sbin and the user's own directories, where QEMU may be. */
const environmentOf = ({env, store}: Engine, system: boolean): Readonly<Record<string, string>> => ({
  ...(env.PATH && {PATH: env.PATH}),
  ...(!system || env.VMCTL_STATE_DIR ? {VMCTL_STATE_DIR: store.directory} : {}),
})

/** In the worst case no guest obeys, and all wait in a row; some seconds more for vmctl itself. */
const stopSeconds = ({vms}: Vmfile): number => Math.ceil(vms.reduce((sum, spec) => sum + stopGraceMs(spec), 0) / 1000) + 60

/** VMs belong to whom the VMFile belongs, also when root installs the unit. */
const ownerOf = async (path: string): Promise<string> => {
  const {uid} = await stat(path).catch((error: unknown) => {
    throw ioError('look at', path, error)
  })
  if (uid === 0) return 'root'
  const line = (await readFile('/etc/passwd', 'utf8')).split('\n').find((one) => one.split(':')[2] === String(uid))
  return line?.split(':')[0] ?? String(uid)
}

/** @throws VmctlError `vmctl::usage::invalid` for a user whom this host does not know, in a unit that would never start */
const existingUser = async ({signal}: Engine, user: string): Promise<string> => {
  const {exitCode} = await run('id', ['-u', user], {signal, timeoutMs: 10_000})
  if (exitCode === 0) return user
  throw new VmctlError('vmctl::usage::invalid', `This host has no user named ${JSON.stringify(user)}.`)
}

/** The manager of a user runs only while the user is logged in, unless the user lingers (loginctl(1)). */
const lingering = async (): Promise<string[]> => {
  const {username} = userInfo()
  const lingers = await access(`/var/lib/systemd/linger/${username}`).then(
    () => true,
    () => false,
  )
  if (lingers) return []
  return [`units of ${username} run only while ${username} is logged in; \`loginctl enable-linger ${username}\` starts them at boot`]
}

const systemctl =
  ({env, signal}: Engine, system: boolean) =>
  async (...args: readonly string[]): Promise<void> => {
    const words = [...(system ? [] : ['--user']), ...args]
    const result: RunResult = await run('systemctl', words, {
      env,
      signal,
      timeoutMs: 60_000,
      notInstalled: {
        help: 'This host has no systemd. Start the VMs at boot by other means (`vmctl up --autostart`); --dry-run prints the unit for another host.',
      },
    })
    if (result.exitCode === 0) return
    throw new VmctlError('vmctl::systemd::failed', `systemctl ${words.join(' ')}: ${lastLines(result.stderr.trim(), 2)}`, {
      help: `Check that systemd runs here: \`systemctl ${system ? '' : '--user '}status\`. --dry-run prints the unit for another host.`,
    })
  }
