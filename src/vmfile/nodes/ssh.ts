import {resolvePath} from '../../host/paths.ts'
import {type SshConfig, sshKeyTypes} from '../../model/vm.ts'
import {arrow, type Compare} from '../grammar/change.ts'
import {boolean, duration, integer, path, word} from '../grammar/kinds.ts'
import {block, field, type Located, type Read} from '../grammar/shapes.ts'
import {userName} from '../grammar/words.ts'
import {quoted} from '../kdl/wording.ts'
import {type Context, optional, resolveExisting} from '../resolve/context.ts'
import {lookAt, readAtMost} from '../resolve/local-files.ts'
import {keyFileLimit} from '../resolve/public-keys.ts'
import {classifyKeys, isLiteralKey} from '../../model/public-key.ts'

export const sshNode = block(
  'How vmctl logs in to the guest; an empty one is implied by `provision`.',
  {body: 'fields'},
  {
    user: field(userName, 'User to log in as; the user of cloud-init, or "vm", when absent.'),
    'private-key': field(path('"~/.ssh/id_ed25519"'), 'Private key; the generated one, or those of ~/.ssh, when absent.', {
      synonyms: ['identity', 'identity-file', 'key'],
    }),
    port: field(integer(1, 65_535, '2222'), 'Host port that is forwarded to SSH in the guest; chosen, and kept, when absent.'),
    'host-key-check': field(
      word('host key check', 'pin', 'accept-new', 'off'),
      'What makes the host key of the guest trusted: that it is known from the start, that it stays the same, or nothing.',
    ),
    'key-type': field(
      word('key type', ...sshKeyTypes),
      'Kind of the host key and of the key pair that vmctl makes; "ed25519" when absent. Guests in FIPS mode take "ecdsa" and "rsa" only.',
    ),
    shell: field(boolean, 'Whether the guest has a POSIX shell; it has when absent. One without takes files by SFTP.'),
    'connect-timeout': field(duration, 'How long the guest may take to let vmctl in without making progress.'),
  },
)

type Ssh = NonNullable<Read<typeof sshNode>>

/** Checks that the private key is one. An unreadable one is a warning only: an agent may hold it. */
export const buildSsh = async ({fields}: Ssh, context: Context): Promise<SshConfig> => {
  const {user, 'private-key': key, port, 'host-key-check': check, 'connect-timeout': timeout, 'key-type': keyType, shell} = fields
  if (key) await checkPrivateKey(key, context)
  return {
    ...optional('user', user?.value),
    ...optional('privateKeyPath', key && resolvePath(key.value, context.directory)),
    ...optional('port', port?.value),
    ...optional('hostKeyCheck', check?.value),
    ...optional('connectTimeoutMs', timeout?.value),
    ...optional('keyType', keyType?.value),
    ...optional('shell', shell?.value),
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

/** Keys are made with the VM. The port of SSH is one that the running QEMU listens on. */
export const sshChange: Compare<'ssh'> = (applied, wanted) => {
  const [was, is] = [applied?.keyType ?? 'ed25519', wanted?.keyType ?? 'ed25519']
  if (was !== is) return {effect: 'reload', text: arrow('ssh key-type')(was, is)}
  return applied?.port === wanted?.port
    ? {effect: 'now', text: 'ssh'}
    : {effect: 'restart', text: arrow('ssh port')(applied?.port, wanted?.port)}
}
