import {createHash} from 'node:crypto'

import {resolvePath} from '../host/paths.ts'
import {isHostname} from '../model/names.ts'
import type {CloudInitConfig, SshConfig} from '../model/vm.ts'
import {type Context, optional, resolveExisting} from './context.ts'
import {classifyKeys, isLiteralKey, isPublicKey, keyLines} from './keys.ts'
import {lookAt, readAtMost} from './local-files.ts'
import type {vmfile} from './schema.ts'
import type {Located, Read} from './shapes.ts'
import {quoted} from './wording.ts'

type VmFields = (typeof vmfile)['fields']['vm']['fields']
type CloudInit = NonNullable<Read<VmFields['cloud-init']>>
type Ssh = NonNullable<Read<VmFields['ssh']>>

const keyFileLimit = 256 * 1024
const userDataLimit = 16 * 2 ** 20

/** Reads the keys and the user-data of a cloud-init block. */
export const buildCloudInit = async ({fields}: CloudInit, vmName: string, context: Context): Promise<CloudInitConfig> => {
  const {hostname, user, 'ssh-key': keys, 'user-data': userData} = fields
  const {report} = context
  if (userData && user)
    report.error(user, 'user has no effect together with user-data', 'create the user in the user-data file, and name it in the ssh block')
  if (userData && keys[0]) {
    report.warning(
      keys[0],
      'ssh-key is ignored: user-data is passed to the guest untouched',
      'put the key into the user-data file, or remove one of the two',
    )
  }
  const lines = await Promise.all(keys.map((key) => readKeys(key, context)))
  const passed = userData && (await readUserData(userData, context))
  return {
    hostname: hostname?.value ?? hostnameFor(vmName),
    ...optional('user', user?.value),
    sshKeys: [...new Set(lines.flat())],
    ...optional('userData', passed),
  }
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

const readUserData = async (file: Located<string>, context: Context): Promise<CloudInitConfig['userData']> => {
  const {report} = context
  const path = await resolveExisting(file, 'user-data file', context)
  if ((await lookAt(path)).kind !== 'file') return undefined
  const content = await readAtMost(path, userDataLimit)
  if ('reason' in content) {
    report.error(file, `user-data file ${quoted(file.value)} cannot be read: ${content.reason}`)
    return undefined
  }
  if (!content.isWhole) {
    report.error(file, 'the user-data file is larger than 16 MB', 'fetch large files in the guest, or copy them with provision "file"')
    return undefined
  }
  return {path, sha256: createHash('sha256').update(content.bytes).digest('hex')}
}

/** Checks that the private key is one. An unreadable one is a warning only: an agent may hold it. */
export const buildSsh = async ({fields}: Ssh, context: Context): Promise<SshConfig> => {
  const {user, 'private-key': key} = fields
  if (key) await checkPrivateKey(key, context)
  return {...optional('user', user?.value), ...optional('privateKeyPath', key && resolvePath(key.value, context.directory))}
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
