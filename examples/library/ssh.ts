/** Work in the guest of a running VM. Run it after a build: node examples/library/ssh.ts NAME */
import {readFile} from 'node:fs/promises'
import {connect as dial} from 'node:net'

import {
  connect,
  connectGuest,
  connectWithRetry,
  download,
  exec,
  execStreaming,
  fingerprint,
  guestAddress,
  openEngine,
  status,
  upload,
} from 'vmctl'

const [name = 'example'] = process.argv.slice(2)
const engine = await openEngine()

// #region exec
const guest = await connectGuest(engine, name, {timeoutMs: 60_000})
const {stdout, stderr, exitCode} = await exec(guest, 'id; echo trouble >&2; exit 3')
process.stdout.write(`${exitCode}: ${stdout}${stderr}`)
// #endregion

// #region streaming
await execStreaming(guest, 'for i in 1 2 3; do echo $i; sleep 1; done', {stdout: process.stdout, stderr: process.stderr})
await exec(guest, 'cat >/etc/hello', {privileged: true, stdin: 'hello\n'})
// #endregion

// #region transfer
await upload(guest, 'package.json', '/tmp/package.json', {mode: 0o600})
await download(guest, '/etc/os-release', '/tmp/os-release')
guest.close()
// #endregion

// #region connect
const address = await guestAddress(engine, name)
const {workDirectory} = await status(engine, name)
const keyFile = `${workDirectory}/id_ed25519_generated`
const key = {kind: 'key', path: keyFile, pem: await readFile(keyFile, 'utf8'), encrypted: false} as const
const [, type, base64 = ''] = (await readFile(`${workDirectory}/known_hosts`, 'utf8')).trim().split(' ')
const pinned = Buffer.from(base64, 'base64')

const connection = await connect({
  stream: dial(address ?? {host: '127.0.0.1', port: 22}),
  user: 'vm',
  auth: [key],
  hostKeyType: type,
  verifyHostKey: (hostKey) => hostKey.equals(pinned) || `this VM has ${fingerprint(pinned)}`,
})
connection.close()
// #endregion

// #region retry
const ready = await connectWithRetry({
  dial: async () => dial(address ?? {host: '127.0.0.1', port: 22}),
  isAlive: async () => ((await status(engine, name)).state === 'running' ? undefined : 'it does not run'),
  console: {sizeBytes: async () => 0, tail: async () => ''},
  connectOptions: {user: 'vm', auth: [key]},
  hostKey: {pinned: `${type} ${base64}`},
  expectCloudInit: false,
  firstBoot: false,
  timeoutMs: 120_000,
})
process.stdout.write(`the guest booted as ${ready.bootId}\n`)
ready.connection.close()
// #endregion
