import {createHash} from 'node:crypto'
import {isDeepStrictEqual} from 'node:util'

import {isHostname} from '../../model/names.ts'
import type {CloudCommand, WriteFile} from '../../model/cloud-init.ts'
import type {CloudInitConfig, HashedFile} from '../../model/cloud-init.ts'
import type {VmSpec} from '../../model/vm.ts'
import {always} from '../grammar/change.ts'
import {anyText, boolean, fileMode, path, text} from '../grammar/kinds.ts'
import {block, field, list, type Located, type Read, type ReadRow, required, rows} from '../grammar/shapes.ts'
import {guestPath, ownerName, userName} from '../grammar/words.ts'
import {quoted} from '../kdl/wording.ts'
import {type Context, optional, resolveExisting} from '../resolve/context.ts'
import {passwordHash} from '../resolve/crypt.ts'
import {lookAt, readAtMost} from '../resolve/local-files.ts'
import {allKeys} from '../resolve/public-keys.ts'

const command = text('command', {example: '"systemctl restart nginx"'})

const writeFile = block(
  'A file that is written at the first boot.',
  {argument: required(guestPath, 'Where it goes in the guest.'), repeatable: true, exclusive: ['content', 'source']},
  {
    content: field(anyText, 'What is in it.'),
    source: field(path('"logo.png"'), 'File of the host that is copied.'),
    permissions: field(fileMode, 'Mode of the file; "0644" when absent.', {synonyms: ['mode']}),
    owner: field(ownerName, 'Owner of the file; "root:root" when absent.'),
  },
)

export const cloudInitNode = block(
  'Configures the guest at its first boot.',
  {},
  {
    hostname: field(
      text('host name', {rule: 'letters, digits and inner dashes, in parts joined by dots', isValid: isHostname, example: '"web"'}),
      'Host name of the guest; the name of the VM when absent.',
    ),
    user: field(userName, 'User to create in the guest; the SSH user when absent.'),
    'ssh-key': list(text('public key', {example: '"~/.ssh/id_ed25519.pub"'}), 'Path of a file with public keys, or a public key itself.', {
      synonyms: ['ssh-keys', 'public-key', 'ssh-authorized-keys'],
    }),
    'user-data': field(path('"cloud-config.yaml"'), 'File that is passed to cloud-init untouched, instead of what vmctl generates.'),
    merge: field(boolean, 'Pass what vmctl generates beside user-data.'),
    packages: list(
      text('package', {
        rule: 'a name without spaces; a version may follow a =',
        isValid: (name) => /^[A-Za-z0-9][^\s\p{Cc}]*$/u.test(name),
        example: '"nginx"',
      }),
      'Packages to install.',
      {synonyms: ['package']},
    ),
    'package-update': field(boolean, 'Read the lists of packages anew first.'),
    'package-upgrade': field(boolean, 'Upgrade all packages first.'),
    'write-file': writeFile,
    bootcmd: rows(command, 'Command that runs early at every boot; several arguments are a program and its arguments.', {repeatable: true}),
    runcmd: rows(command, 'Command that runs at the end of the first boot; several arguments are a program and its arguments.', {
      repeatable: true,
    }),
    'network-config': field(path('"network-config.yaml"'), 'File with the network configuration, passed untouched.'),
    'vendor-data': field(path('"vendor-data.yaml"'), 'File with vendor-data, passed untouched.'),
    timezone: field(
      text('time zone', {
        rule: 'a name of the tz database',
        isValid: (zone) => /^[\w+-]+(?:\/[\w+-]+)*$/.test(zone),
        example: '"Europe/Paris"',
      }),
      'Time zone.',
    ),
    locale: field(text('locale', {isValid: (name) => /^[\w.@-]+$/.test(name), example: '"en_US.UTF-8"'}), 'Locale.'),
    password: field(
      text('password', {example: '"…"', rule: 'a text, or a hash made by `openssl passwd -6`'}),
      'Password of the user, best as a hash made by `openssl passwd -6`; without it only keys log in.',
    ),
    'console-autologin': field(boolean, 'Whether the serial console logs the user in without asking.'),
  },
)

type CloudInit = NonNullable<Read<typeof cloudInitNode>>

const passedFileLimit = 16 * 2 ** 20

/** What cloud-init has to know of the VM around its block. */
export interface Identity {
  readonly vm: string
  /** Public keys of the project, in the order of the file. */
  readonly projectKeys: readonly Located<string>[]
}

/** Reads the keys and the files of a cloud-init block. */
export const buildCloudInit = async (
  block: CloudInit | undefined,
  {vm, projectKeys}: Identity,
  context: Context,
): Promise<CloudInitConfig> => {
  if (!block) return {hostname: hostnameFor(vm), sshKeys: await allKeys(projectKeys, context)}
  const {fields} = block
  const {hostname, user, 'ssh-key': keys, 'user-data': userData, merge} = fields
  checkUserData(fields, context)
  const files = await Promise.all([
    userData && readPassedFile(userData, 'user-data', context),
    fields['network-config'] && readPassedFile(fields['network-config'], 'network-config', context),
    fields['vendor-data'] && readPassedFile(fields['vendor-data'], 'vendor-data', context),
  ])
  const [passed, networkConfig, vendorData] = files
  const packages = fields.packages.map(({value}) => value)
  const writeFiles = await Promise.all(fields['write-file'].map((file) => buildWriteFile(file, context)))
  return {
    hostname: hostname?.value ?? hostnameFor(vm),
    ...optional('user', user?.value),
    sshKeys: await allKeys([...projectKeys, ...keys], context),
    ...optional('userData', passed),
    ...(userData && merge?.value && {merge: true}),
    ...optional('packages', filled(packages)),
    ...optional('packageUpdate', fields['package-update']?.value),
    ...optional('packageUpgrade', fields['package-upgrade']?.value),
    ...optional('writeFiles', filled(writeFiles)),
    ...optional('bootCommands', filled(fields.bootcmd.map(commandOf))),
    ...optional('runCommands', filled(fields.runcmd.map(commandOf))),
    ...optional('networkConfig', networkConfig),
    ...optional('vendorData', vendorData),
    ...optional('timezone', fields.timezone?.value),
    ...optional('locale', fields.locale?.value),
    ...optional('passwordHash', fields.password && passwordHash(fields.password.value, vm)),
    ...optional('consoleAutologin', fields['console-autologin']?.value || undefined),
  }
}

const filled = <T>(list: readonly T[]): readonly T[] | undefined => (list.length > 0 ? list : undefined)

const commandOf = ({words}: ReadRow<string>): CloudCommand => {
  const [first = '', ...more] = words.map(({value}) => value)
  return more.length > 0 ? [first, ...more] : first
}

/** user-data is passed as it is; what vmctl would generate beside it has an effect only when the two are merged. */
const checkUserData = (fields: CloudInit['fields'], {report}: Context): void => {
  const {user, 'ssh-key': keys, 'user-data': userData, merge} = fields
  if (!userData) {
    if (merge) report.error(merge, 'merge needs user-data', 'add user-data "cloud-config.yaml"')
    return
  }
  if (merge?.value) return
  if (user)
    report.error(user, 'user has no effect together with user-data', 'create the user in the user-data file, and name it in the ssh block')
  if (keys[0]) {
    report.warning(
      keys[0],
      'ssh-key is ignored: user-data is passed to the guest untouched',
      'put the key into the user-data file, or remove one of the two',
    )
  }
  const {packages, bootcmd, runcmd, timezone, locale, password} = fields
  const generated = {
    packages: packages[0],
    'package-update': fields['package-update'],
    'package-upgrade': fields['package-upgrade'],
    'write-file': fields['write-file'][0],
    bootcmd: bootcmd[0],
    runcmd: runcmd[0],
    timezone,
    locale,
    password,
    'console-autologin': fields['console-autologin'],
  }
  for (const [name, given] of Object.entries(generated)) {
    if (given) report.error(given, `${name} has no effect together with user-data`, 'add merge #true, or write it into the user-data file')
  }
}

type ReadWriteFile = CloudInit['fields']['write-file'][number]

const buildWriteFile = async ({argument, fields, given, ...place}: ReadWriteFile, context: Context): Promise<WriteFile> => {
  const {content, source, permissions, owner} = fields
  if (!given.has('content') && !given.has('source'))
    context.report.error(place, 'write-file needs content or source', 'add content "…" or source "PATH"')
  return {
    path: argument?.value ?? '',
    ...optional('content', content?.value),
    ...optional('source', source && (await readPassedFile(source, 'source', context))),
    ...optional('mode', permissions?.value),
    ...optional('owner', owner?.value),
  }
}

/** A VM may be called `build_1.`, a host may not. */
const hostnameFor = (vmName: string): string => (isHostname(vmName) ? vmName : vmName.replace(/[_.]/g, '-').replace(/-+$/, ''))

/** A file that cloud-init gets; the whole seed is read by the guest at each boot, so it stays small. */
const readPassedFile = async (
  file: Located<string>,
  noun: 'user-data' | 'vendor-data' | 'network-config' | 'source',
  context: Context,
): Promise<HashedFile | undefined> => {
  const {report} = context
  const path = await resolveExisting(file, `${noun} file`, context)
  if ((await lookAt(path)).kind !== 'file') return undefined
  const content = await readAtMost(path, passedFileLimit)
  if ('reason' in content) {
    report.error(file, `${noun} file ${quoted(file.value)} cannot be read: ${content.reason}`)
    return undefined
  }
  if (!content.isWhole) {
    report.error(file, `the ${noun} file is larger than 16 MB`, 'fetch large files in the guest, or copy them with provision "file"')
    return undefined
  }
  if (noun !== 'source' && !context.toleratesMissing) {
    for (const {severity, message, hint} of context.examineSeedFile?.(noun, content.bytes) ?? []) report[severity](file, message, hint)
  }
  return {path, sha256: createHash('sha256').update(content.bytes).digest('hex')}
}

/** The words of the VMFile for what cloud-init is told. */
const cloudInitWords: Readonly<Record<string, string>> = {
  sshKeys: 'ssh-key',
  userData: 'user-data',
  packageUpdate: 'package-update',
  packageUpgrade: 'package-upgrade',
  writeFiles: 'write-file',
  bootCommands: 'bootcmd',
  runCommands: 'runcmd',
  networkConfig: 'network-config',
  vendorData: 'vendor-data',
  passwordHash: 'password',
  consoleAutologin: 'console-autologin',
}

const describeCloudInit = (applied: VmSpec['cloudInit'], wanted: VmSpec['cloudInit']): string => {
  if (!applied || !wanted) return 'cloud-init'
  const fields = [...new Set([...Object.keys(applied), ...Object.keys(wanted)])] as (keyof typeof applied)[]
  const changed = fields.filter((field) => !isDeepStrictEqual(applied[field], wanted[field]))
  return `cloud-init ${changed.map((field) => cloudInitWords[field] ?? field).join(', ')}`
}

export const cloudInitChange = always<'cloudInit'>('reload', describeCloudInit)
