import {createHash} from 'node:crypto'

import {resolvePath} from '../../host/paths.ts'
import {isHostname} from '../../model/names.ts'
import type {CloudCommand, WriteFile} from '../../model/stack.ts'
import type {CloudInitConfig, HashedFile, SshConfig} from '../../model/vm.ts'
import {type Context, optional, resolveExisting} from './context.ts'
import {passwordHash} from './crypt.ts'
import {classifyKeys, isLiteralKey, isPublicKey, keyLines} from './keys.ts'
import {lookAt, readAtMost} from './local-files.ts'
import type {vmfile} from '../grammar/schema.ts'
import type {Located, Read, ReadRow} from '../grammar/shapes.ts'
import {quoted} from '../kdl/wording.ts'

type VmFields = (typeof vmfile)['fields']['vm']['fields']
type CloudInit = NonNullable<Read<VmFields['cloud-init']>>
type Ssh = NonNullable<Read<VmFields['ssh']>>

const keyFileLimit = 256 * 1024
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

const allKeys = async (keys: readonly Located<string>[], context: Context): Promise<readonly string[]> => {
  const lines = await Promise.all(keys.map((key) => readKeys(key, context)))
  return [...new Set(lines.flat())]
}

/** A VM may be called `build_1.`, a host may not. */
const hostnameFor = (vmName: string): string => (isHostname(vmName) ? vmName : vmName.replace(/[_.]/g, '-').replace(/-+$/, ''))

const readKeys = async (key: Located<string>, context: Context): Promise<readonly string[]> => {
  const {report} = context
  if (isLiteralKey(key.value)) {
    if (isPublicKey(key.value)) return [key.value]
    report.error(key, 'this is not a public key', 'copy the whole line of the .pub file')
    return []
  }
  if (classifyKeys(key.value) === 'private') {
    report.error(key, 'this is a private key; it must not leave this computer', 'name the public key file, which ends in .pub')
    return []
  }
  const path = await resolveExisting(key, 'public key file', context)
  if ((await lookAt(path)).kind !== 'file') return []
  const content = await readAtMost(path, keyFileLimit)
  if ('reason' in content) {
    report.error(key, `public key file ${quoted(key.value)} cannot be read: ${content.reason}`)
    return []
  }
  const text = content.bytes.toString('utf8')
  const kind = content.isWhole ? classifyKeys(text) : 'neither'
  if (kind === 'public') return keyLines(text)
  if (kind === 'private') {
    const hasPublic = (await lookAt(`${path}.pub`)).kind === 'file'
    report.error(
      key,
      `${quoted(key.value)} is a private key; it must not leave this computer`,
      `name the public key: ${hasPublic ? quoted(`${key.value}.pub`) : 'the file that ends in .pub'}`,
    )
  } else {
    report.error(key, `${quoted(key.value)} does not hold public keys`, 'each line of it must be like: ssh-ed25519 AAAA… comment')
  }
  return []
}

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

/** Checks that the private key is one. An unreadable one is a warning only: an agent may hold it. */
export const buildSsh = async ({fields}: Ssh, context: Context): Promise<SshConfig> => {
  const {user, 'private-key': key, port, 'host-key-check': check, 'connect-timeout': timeout, 'key-type': keyType} = fields
  if (key) await checkPrivateKey(key, context)
  return {
    ...optional('user', user?.value),
    ...optional('privateKeyPath', key && resolvePath(key.value, context.directory)),
    ...optional('port', port?.value),
    ...optional('hostKeyCheck', check?.value),
    ...optional('connectTimeoutMs', timeout?.value),
    ...optional('keyType', keyType?.value),
  }
}

const checkPrivateKey = async (key: Located<string>, context: Context): Promise<void> => {
  const {report} = context
  const shown = quoted(key.value)
  const withoutSuffix = key.value.replace(/\.pub$/, '')
  const hint =
    withoutSuffix === key.value ? 'name the file without .pub that belongs to it' : `name the private key: ${quoted(withoutSuffix)}`
  if (isLiteralKey(key.value)) {
    report.error(key, 'private-key takes a path, and this is a public key', 'name the private key file')
    return
  }
  if (classifyKeys(key.value) === 'private') {
    report.error(key, 'private-key takes a path, not the key itself', 'keep the key in a file of its own, and name the file')
    return
  }
  const path = await resolveExisting(key, 'private key', context)
  if ((await lookAt(path)).kind !== 'file') return
  const content = await readAtMost(path, keyFileLimit)
  if ('reason' in content) {
    report.warning(key, `private key ${shown} cannot be read: ${content.reason}`, 'make it readable for you: chmod 600')
  } else if (classifyKeys(content.bytes.toString('utf8')) === 'public') {
    report.error(key, `${shown} is a public key`, hint)
  }
}
