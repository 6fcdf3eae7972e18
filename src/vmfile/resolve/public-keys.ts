import type {Located} from '../grammar/shapes.ts'
import {quoted} from '../kdl/wording.ts'
import {type Context, resolveExisting} from './context.ts'
import {lookAt, readAtMost} from './local-files.ts'
import {classifyKeys, isLiteralKey, isPublicKey, keyLines} from '../../model/public-key.ts'

export const keyFileLimit = 256 * 1024

export const allKeys = async (keys: readonly Located<string>[], context: Context): Promise<readonly string[]> => {
  const lines = await Promise.all(keys.map((key) => readKeys(key, context)))
  return [...new Set(lines.flat())]
}

const readKeys = async (key: Located<string>, context: Context): Promise<readonly string[]> => {
  const {report} = context
  if (isLiteralKey(key.value)) {
    if (isPublicKey(key.value)) return [key.value]
    report.error(key, 'this is not a public key', 'copy the whole line of the .pub file')
    return []
  }
  if (classifyKeys(key.value) === 'private') {
    report.error(key, 'this is a private key; it must not leave the host', 'name the public key file, which ends in .pub')
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
      `${quoted(key.value)} is a private key; it must not leave the host`,
      `name the public key: ${hasPublic ? quoted(`${key.value}.pub`) : 'the file that ends in .pub'}`,
    )
  } else {
    report.error(key, `${quoted(key.value)} does not hold public keys`, 'each line of it must be like: ssh-ed25519 AAAA… comment')
  }
  return []
}
