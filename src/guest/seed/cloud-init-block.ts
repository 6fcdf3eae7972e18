import type {CloudCommand} from '../../model/cloud-init.ts'
import type {CloudInitConfig} from '../../model/cloud-init.ts'
import type {GuestOs} from '../../model/vm.ts'
import {autologin} from './cloud-init-console.ts'
import type {GuestFile} from './guest-file.ts'

/** What a cloud-init block asks for besides the user, its keys and files that are passed through. */
export type CloudInitBlock = Pick<
  CloudInitConfig,
  | 'packages'
  | 'packageUpdate'
  | 'packageUpgrade'
  | 'bootCommands'
  | 'runCommands'
  | 'timezone'
  | 'locale'
  | 'passwordHash'
  | 'consoleAutologin'
> & {readonly files?: readonly GuestFile[]}

interface Surroundings {
  readonly user: string
  readonly os: GuestOs
  /** Shell programs for the first boot, before packages and before the commands of the block. */
  readonly programs?: BootPrograms | undefined
}

/** What comes before all other commands of a boot. */
export interface BootPrograms {
  /** Gives a guest whose disk was another's an identity of its own. */
  readonly identity?: string
  /** Brings a guest to what its stack gives it. */
  readonly setup?: string
}

/** The settings of cloud-init that a block stands for ("Module reference" of its documentation). */
export const blockSettings = (block: CloudInitBlock, {user, os, programs}: Surroundings): Readonly<Record<string, unknown>> => {
  const console = block.consoleAutologin ? autologin(user, os) : {files: [], commands: []}
  const files = [...doasRule(user, os), ...[...console.files, ...(block.files ?? [])].map(writeFile)]
  const bootCommands = [...programCommands(programs), ...commands(block.bootCommands)]
  const runCommands = [...console.commands, ...commands(block.runCommands)]
  return {
    ...optional('timezone', block.timezone),
    ...optional('locale', block.locale),
    ...optional('package_update', block.packageUpdate),
    ...optional('package_upgrade', block.packageUpgrade),
    ...list('packages', block.packages ?? []),
    ...list('write_files', files),
    ...list('bootcmd', bootCommands),
    ...list('runcmd', runCommands),
  }
}

/**
 * The `doas` of a user is known to cloud-init 23.1 and later only, so the rule is appended to doas.conf(5), where the last one that
 * fits counts. doas refuses a file that others may write to.
 */
const doasRule = (user: string, os: GuestOs): readonly unknown[] =>
  os === 'openrc' && user !== 'root'
    ? [{path: '/etc/doas.conf', content: `\npermit nopass ${user}\n`, append: true, permissions: '0600'}]
    : []

/** As commands of bootcmd, which are run at every boot. */
export const programCommands = ({identity, setup}: BootPrograms = {}): readonly (readonly string[])[] => [
  ...(identity === undefined ? [] : [['sh', '-c', identity, 'vmctl-identity']]),
  ...(setup === undefined ? [] : [['sh', '-c', setup, 'vmctl-setup', 'boot']]),
]

const optional = (key: string, value: unknown) => (value === undefined ? {} : {[key]: value})

/** The schema of cloud-init wants at least one item, or nothing. */
const list = (key: string, items: readonly unknown[]) => (items.length === 0 ? {} : {[key]: items})

const commands = (all: readonly CloudCommand[] = []): unknown[] => all.map((one) => (typeof one === 'string' ? one : [...one]))

const rootNames: ReadonlySet<string> = new Set(['root', '0'])

/**
 * Files are written before the users are made and the packages are there, unless they are deferred (cloud-init 22.1); one that
 * belongs to somebody else than root has to wait for him.
 */
const writeFile = ({path, content, mode, owner}: GuestFile): Readonly<Record<string, unknown>> => {
  const isOthers = owner !== undefined && owner.split(':').some((name) => !rootNames.has(name))
  return {
    path,
    ...contentOf(content),
    permissions: `0${(mode ?? 0o644).toString(8).padStart(3, '0')}`,
    ...optional('owner', owner),
    ...(isOthers && {defer: true}),
  }
}

/** YAML holds text as it is; whatever else there is goes as base64. */
const contentOf = (content: Uint8Array): Readonly<Record<string, unknown>> => {
  const bytes = Buffer.from(content)
  const text = bytes.toString('utf8')
  const isPlain = !/[^\t\n\u0020-\u007e\u00a0-\ud7ff\ue000-\ufefe]/.test(text) && Buffer.from(text).equals(bytes)
  return isPlain ? {content: text} : {encoding: 'b64', content: bytes.toString('base64')}
}
