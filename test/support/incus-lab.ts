import {type ChildProcessWithoutNullStreams, spawn, spawnSync} from 'node:child_process'
import {once} from 'node:events'
import {mkdtemp, rm} from 'node:fs/promises'
import {createServer, type Server} from 'node:net'
import {tmpdir} from 'node:os'
import {join, resolve} from 'node:path'
import {createInterface} from 'node:readline'
import {setTimeout as sleep} from 'node:timers/promises'

import {type IncusClient, openIncus} from '../../src/hypervisor/incus/api/client.ts'
import {needsRoot} from './programs.ts'
import {absent, sbinPath} from './vm-lab-programs.ts'

const scripts = resolve(import.meta.dirname, '../../fixtures/incus')

/** Why no Incus can run here; undefined when it can. */
export const incusLabMissing = (): string | undefined => {
  const root = needsRoot()
  if (root !== undefined) return root
  const missing = absent('mmdebstrap', 'ip', 'unshare', 'nsenter', 'setpriv', 'flock')
  if (missing.length > 0) return `there is no ${missing.join(', no ')}`
  const can = (...words: readonly string[]): boolean =>
    spawnSync('unshare', [...words, 'true'], {env: {...process.env, PATH: sbinPath()}}).status === 0
  if (!can('--mount', '--net')) return 'it needs CAP_SYS_ADMIN'
  if (!can('--user')) return 'containers need user namespaces, which a chroot has not'
  if (!can('--mount', '--cgroup')) return 'containers need control groups'
  return undefined
}

export interface LabMember {
  readonly name: string
  /** Its address in the laboratory, where HTTPS answers at port 8443. */
  readonly address: string
  readonly socketPath: string
  /** Where this host reaches the same: `https://127.0.0.1:…`. */
  readonly url: string
}

/** A real Incus, or a cluster of three, in namespaces of this host. */
export interface IncusLab extends AsyncDisposable {
  readonly members: readonly LabMember[]
  /** Trusted in full, by the Unix socket of the first member. */
  readonly client: IncusClient
  /** Alias of an image of a container that is busybox alone. */
  readonly image: string
  /** Words in front of a program that is to be in the network of the laboratory, where addresses and ports of instances answer. */
  readonly inside: readonly string[]
  /** `kill NAME`, `power-off NAME`, `start NAME`: see fixtures/incus/lab.sh. */
  command(command: 'kill' | 'power-off' | 'start', name: string): Promise<void>
  /** Runs a program of a member, as `incus …`. */
  run(name: string, words: readonly string[], input?: string): string
}

const env = {...process.env, PATH: sbinPath()}

export const openIncusLab = async (names: readonly string[], signal: AbortSignal): Promise<IncusLab> => {
  const root = await build(signal)
  const directory = await mkdtemp(join(tmpdir(), 'vmctl-incus-lab-'))
  const stack = new AsyncDisposableStack()
  stack.defer(() => rm(directory, {recursive: true, force: true}))
  try {
    const lab = startLab(root, directory, names)
    stack.defer(() => lab.end())
    await lab.said('ready', signal)
    const members = await Promise.all(
      names.map(async (name): Promise<LabMember> => {
        const {address} = lab.member(name)
        const forward = await forwardTo(() => lab.member(name).pid, address)
        stack.defer(() => void forward.close())
        return {
          name,
          address,
          url: forward.url,
          get socketPath() {
            return `/proc/${lab.member(name).pid}/root/var/lib/incus/unix.socket`
          },
        }
      }),
    )
    const run: IncusLab['run'] = (name, words, input) => inMember(lab.member(name).pid, words, input)
    await configure(members, run)
    const [first] = members
    if (!first) throw new Error('a laboratory has a member')
    // The socket moves when a member is started again.
    const client = await openIncus({addresses: [{socket: first.socketPath}]})
    stack.use(client)
    return {
      members,
      client,
      image: 'tiny',
      inside: ['nsenter', `--net=/proc/${lab.pid}/ns/net`, '--'],
      run,
      async command(command, name) {
        lab.tell(`${command} ${name}`)
        await lab.said(`done ${command}`, signal)
      },
      [Symbol.asyncDispose]: () => stack.disposeAsync(),
    }
  } catch (error) {
    await stack.disposeAsync()
    throw error
  }
}

const build = async (signal: AbortSignal): Promise<string> => {
  const child = spawn('sh', [join(scripts, 'build.sh')], {env, stdio: ['ignore', 'pipe', 'pipe'], signal})
  let said = ''
  let wrong = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (wrong += text))
  const [code] = (await once(child, 'close')) as [number]
  if (code !== 0) throw new Error(`the laboratory cannot be built: ${wrong}`)
  return said.trim()
}

interface RunningLab {
  readonly pid: number
  member(name: string): {readonly pid: number; readonly address: string}
  tell(line: string): void
  /** Waits for a line. */
  said(line: string, signal: AbortSignal): Promise<void>
  end(): Promise<void>
}

const startLab = (root: string, directory: string, names: readonly string[]): RunningLab => {
  const child: ChildProcessWithoutNullStreams = spawn('sh', [join(scripts, 'lab.sh'), root, directory, ...names], {env, stdio: 'pipe'})
  const members = new Map<string, {pid: number; address: string}>()
  const lines: string[] = []
  let wrong = ''
  const ended = once(child, 'close')
  child.stdin.on('error', () => undefined)
  child.stderr.setEncoding('utf8').on('data', (text: string) => (wrong += text))
  createInterface(child.stdout).on('line', (line) => {
    const [, name, pid, address] = /^on (\S+) (\d+) (\S+)$/.exec(line) ?? []
    if (name !== undefined && address !== undefined) members.set(name, {pid: Number(pid), address})
    lines.push(line)
  })
  return {
    get pid() {
      return child.pid ?? 0
    },
    member(name) {
      const member = members.get(name)
      if (!member) throw new Error(`the laboratory has no ${name}`)
      return member
    },
    tell: (line) => void child.stdin.write(`${line}\n`),
    async said(line, signal) {
      for (;;) {
        const index = lines.indexOf(line)
        if (index !== -1) return void lines.splice(0, index + 1)
        if (child.exitCode !== null) throw new Error(`the laboratory has ended: ${wrong}`)
        await sleep(50, undefined, {signal})
      }
    },
    async end() {
      child.stdin.end()
      await ended
    },
  }
}

const inMember = (pid: number, words: readonly string[], input = ''): string => {
  const {status, stdout, stderr} = spawnSync(
    'nsenter',
    ['--target', String(pid), '--mount', '--root', '--wd=/', '--uts', '--ipc', '--net', '--pid', '--', ...words],
    {input, env: {...env, PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root'}, encoding: 'utf8', timeout: 120_000},
  )
  if (status !== 0) throw new Error(`${words.join(' ')}: ${stdout}${stderr}`)
  return stdout
}

const preseed = (address: string): string => `config: {core.https_address: "${address}:8443", images.auto_update_interval: "0"}
storage_pools: [{name: default, driver: dir}]
networks: [{name: incusbr0, type: bridge, config: {ipv4.address: 10.88.0.1/24, ipv4.nat: "true", ipv6.address: none}}]
profiles: [{name: default, devices: {root: {type: disk, path: /, pool: default}, eth0: {type: nic, network: incusbr0, name: eth0}}}]
`

/** Pool, network and image of the first; the others join it. */
const configure = async (members: readonly LabMember[], run: IncusLab['run']): Promise<void> => {
  const [first, ...others] = members
  if (!first) return
  const cluster = others.length > 0 ? `cluster: {enabled: true, server_name: ${first.name}}\n` : ''
  run(first.name, ['incus', 'admin', 'init', '--preseed'], `${preseed(first.address)}${cluster}`)
  for (const {name, address} of others) {
    const token = run(first.name, ['incus', 'cluster', 'add', name]).trim().split('\n').at(-1) ?? ''
    run(
      name,
      ['incus', 'admin', 'init', '--preseed'],
      `cluster: {enabled: true, server_name: ${name}, server_address: "${address}:8443", cluster_token: "${token}", member_config: [{entity: storage-pool, name: default, key: source, value: ""}]}\n`,
    )
  }
  run(first.name, ['incus', 'image', 'import', '/lab/tiny.tar', '--alias', 'tiny'])
}

/**
 * A port of this host that leads to the API of a member. A socket belongs to the network in which it was made, so each connection is
 * carried by a small process that is in that of the laboratory.
 */
const forwardTo = async (pid: () => number, address: string): Promise<{readonly url: string; close(): void}> => {
  const carry = `const s = require('node:net').connect(8443, '${address}'); process.stdin.pipe(s).pipe(process.stdout); s.on('error', () => process.exit(1)); s.on('close', () => process.exit(0))`
  const server: Server = createServer({allowHalfOpen: true}, (socket) => {
    const child = spawn('nsenter', [`--net=/proc/${pid()}/ns/net`, '--', process.execPath, '-e', carry], {
      stdio: ['pipe', 'pipe', 'ignore'],
      env,
    })
    socket.pipe(child.stdin)
    child.stdout.pipe(socket)
    for (const stream of [socket, child.stdin, child.stdout]) stream.on('error', () => undefined)
    child.on('close', () => socket.destroy())
    socket.on('close', () => child.kill())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const {port} = server.address() as {port: number}
  return {url: `https://127.0.0.1:${port}`, close: () => server.close()}
}
