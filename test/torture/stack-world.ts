import {execFile, execFileSync, spawnSync} from 'node:child_process'
import {existsSync, mkdirSync, readdirSync, readFileSync, rmSync} from 'node:fs'
import {basename, join, resolve} from 'node:path'
import {promisify} from 'node:util'

import type {NetworkStatus} from '../../src/engine/resources/network-list.ts'
import type {PsRow} from '../../src/engine/show/ps.ts'
import {absent, sbinPath} from '../support/vm-lab-programs.ts'
import {argumentsOf, directoryOf, isAlive, processes} from '../support/vm-processes.ts'
import {microImage} from './micro-image.ts'
import {describe, QemuWorld, type RunOptions, type Running, settled, wrongVerdicts} from './world.ts'

/** Stands for a virtiofsd that vmctl takes, where there is none: Debian 12 has only the one of QEMU 7. */
const programs = resolve(import.meta.dirname, '../../fixtures/virtiofsd')
const virtiofsdPlaces = ['/usr/lib/qemu/virtiofsd', '/usr/libexec/virtiofsd']

/** Why there can be no such stack here; undefined when there can. */
export const stackMissing = (): string | undefined => {
  if (process.getuid?.() !== 0) return 'it needs root'
  const names = [...absent('ip', 'dnsmasq', 'nft', 'unshare'), ...(virtiofsdPlaces.some((path) => existsSync(path)) ? [] : ['virtiofsd'])]
  return names.length === 0 ? undefined : `${names.join(', ')} not installed`
}
const fixedPort = 18_080

const vm = (name: string, body: string): string => `vm "${name}" {
  image "${microImage()}"
  memory 160
  ssh { user "dev"; }
  network "back"
  network "front"
  cloud-init { bootcmd "httpd -p 80 -h /"; }
  ${body}
}`

const vmfile = (): string => `project "shop"
network "back"
network "front" driver="bridge"
volume "data" size="64M"
${vm(
  'db',
  `volume "data" "/data"
  share "files" "/srv/files" { driver "9p"; }
  port "${fixedPort}:80"
  healthcheck { http "http://localhost:80/etc/hostname"; interval "1s"; retries 60; }
  provision "shell" privileged=#true { inline "echo ran >>/srv/files/runs; [ -e /data/kept ] || cat /proc/sys/kernel/random/uuid >/data/kept"; }`,
)}
${vm(
  'web',
  `depends-on "db"
  share "www" "/srv/www" { driver "virtiofs"; }
  port 80
  provision "shell" privileged=#true { inline "echo ran >>/srv/www/runs"; }`,
)}
`

/** What of a stack runs or is set up on the host. */
export interface Carriers {
  readonly qemus: readonly number[]
  readonly hubs: readonly number[]
  readonly dnsmasqs: readonly number[]
  readonly virtiofsds: readonly number[]
  /** Anything else, as it was called. */
  readonly others: readonly string[]
  readonly bridges: readonly string[]
  readonly taps: readonly string[]
  readonly firewall: readonly string[]
}

let made = 0

/**
 * A stack with one of everything that could be left behind: two VMs, one of which waits for the health of the other, on a mesh and
 * on a bridge, with a volume, a share of each driver, a fixed and a free port. In a network namespace of its own, as root.
 */
export class StackWorld extends QemuWorld {
  readonly namespace: string
  /** Whether the stack was brought up by an earlier trial. */
  isUp = false
  readonly #inside: readonly string[]

  constructor() {
    const path = sbinPath()
    super({PATH: existsSync(virtiofsdPlaces[0] ?? '') ? `${programs}:${path}` : path})
    this.namespace = `vmctl-stack-${process.pid}-${(made += 1)}`
    this.#inside = ['ip', 'netns', 'exec', this.namespace]
    execFileSync('ip', ['netns', 'add', this.namespace])
    this.#ip('link', 'set', 'lo', 'up')
    for (const share of ['files', 'www']) mkdirSync(join(this.directory, share))
    this.write('www/index.html', 'shared\n')
    this.write('VMFile.kdl', vmfile())
  }

  #ip(...words: readonly string[]): string {
    return execFileSync('ip', ['-n', this.namespace, ...words], {encoding: 'utf8'})
  }

  override start(words: readonly string[], options: RunOptions = {}): Running {
    return super.start(words, {...options, prefix: this.#inside})
  }

  /** Forgets what the steps of earlier stacks have written. */
  forget(): void {
    for (const share of ['files', 'www']) rmSync(join(this.directory, share, 'runs'), {force: true})
  }

  carriers(): Carriers {
    const all = processes().flatMap((pid) => {
      const args = argumentsOf(pid)
      const isOurs = args.some((word) => word.includes(this.directory)) || directoryOf(pid).startsWith(this.directory)
      return isOurs && pid !== process.pid && isAlive(pid) ? [{pid, name: basename(args[0] ?? ''), args}] : []
    })
    const kind = ({name, args}: (typeof all)[number]): string => {
      if (name.startsWith('qemu-system')) return 'qemu'
      return args.some((word) => /hub-program\.[jt]s$/.test(word)) ? 'hub' : name
    }
    const of = (wanted: string): number[] => all.filter((one) => kind(one) === wanted).map(({pid}) => pid)
    const virtiofsds = of('virtiofsd')
    const links = this.#ip('-o', 'link').split('\n').filter(Boolean)
    const names = (pattern: RegExp): string[] => links.flatMap((line) => pattern.exec(line)?.[1] ?? [])
    return {
      qemus: of('qemu'),
      hubs: of('hub'),
      dnsmasqs: of('dnsmasq'),
      // It forks: the child is the one that sees nothing but the share.
      virtiofsds: virtiofsds.filter((pid) => !virtiofsds.includes(parentOf(pid))),
      others: all.filter((one) => !['qemu', 'hub', 'dnsmasq', 'virtiofsd'].includes(kind(one))).map(({args}) => args.join(' ')),
      bridges: names(/^\d+: (vmbr-[^:@]+)/),
      taps: names(/^\d+: (vmctl[^:@]+).* master /),
      firewall: this.#inNamespace('nft', 'list', 'tables').split('\n').filter(Boolean),
    }
  }

  #inNamespace(...words: readonly string[]): string {
    return spawnSync('ip', [...this.#inside.slice(1), ...words], {encoding: 'utf8'}).stdout
  }

  async #json<T>(...words: readonly string[]): Promise<T> {
    return JSON.parse((await this.ok([...words, '--json'])).stdout)
  }

  async networks(): Promise<readonly NetworkStatus[]> {
    return (await this.#json<{networks: readonly NetworkStatus[]}>('network', 'ls')).networks
  }

  async ps(): Promise<readonly PsRow[]> {
    return (await this.#json<{vms: readonly PsRow[]}>('ps')).vms
  }

  /** What is wrong with what `list`, `status`, `ps` and `network ls` say, when it stays wrong: what was begun may still come or go. */
  async untruths(): Promise<string[]> {
    return settled(async () => {
      const [verdicts, rows, networks] = await Promise.all([wrongVerdicts(this), this.ps(), this.networks()])
      const found = [...verdicts]
      const {qemus, hubs, bridges} = this.carriers()
      const told = (await this.list()).flatMap(({pid}) => pid ?? [])
      for (const pid of qemus) if (!told.includes(pid)) found.push(`QEMU ${pid} runs, and list names no VM with it`)
      const summaries = new Map((await this.list()).map(({name, state}) => [name, state]))
      for (const {name, state, error} of rows) {
        if (error !== undefined || state !== (summaries.get(name) ?? 'destroyed')) found.push(`ps says ${state} of ${name}: ${error}`)
      }
      const isUp = (driver: string): boolean => networks.some((network) => network.driver === driver && network.isUp)
      if (isUp('mesh') !== hubs.length > 0) found.push(`network ls says ${isUp('mesh')} of the mesh, and there are ${hubs.length} hubs`)
      if (isUp('bridge') !== bridges.length > 0) found.push(`network ls says ${isUp('bridge')} of ${bridges.join() || 'no bridge'}`)
      return found
    })
  }

  /** What is wrong with a stack that `up` has brought up. */
  async faults({once}: {readonly once: boolean}): Promise<string[]> {
    const found: string[] = []
    const {others, firewall, ...carriers} = this.carriers()
    const expected = {qemus: 2, hubs: 1, dnsmasqs: 1, virtiofsds: 1, bridges: 1, taps: 2}
    for (const [kind, count] of Object.entries(expected)) {
      const all = carriers[kind as keyof typeof expected]
      if (all.length !== count) found.push(`there are ${all.length} ${kind}, not ${count}`)
    }
    if (firewall.length !== 1) found.push(`tables of the firewall: ${firewall.join(', ')}`)
    if (others.length > 0) found.push(`runs on: ${others.join(', ')}`)
    const runs = ['files/runs', 'www/runs'].map((file) => lineCount(join(this.directory, file)))
    if (once && runs.join() !== '1,1') found.push(`the steps have run ${runs.join(' and ')} times`)
    found.push(...(await wrongVerdicts(this)), ...this.leftovers().map((path) => `left over: ${path}`))
    const second = await this.#json<{vms: readonly {actions: readonly unknown[]}[]}>('up')
    const more = second.vms.flatMap(({actions}) => actions)
    if (more.length > 0) found.push(`one more up does something: ${JSON.stringify(more)}`)
    return [...found, ...(await this.#unreachable())]
  }

  /** Names, addresses, ports, shares and the volume, as guests and the host see them. */
  async #unreachable(): Promise<string[]> {
    const members = (await this.networks()).flatMap((network) => network.members.map((member) => ({...member, driver: network.driver})))
    const ip = (name: string, driver: string): string =>
      members.find((member) => member.vm === name && member.driver === driver)?.ip ?? 'no address'
    const {ports = []} = await this.status('shop.web')
    const fetches = [
      `${fixedPort}/etc/hostname`,
      `${fixedPort}/data/kept`,
      `${ports[0]?.host}/etc/hostname`,
      `${ports[0]?.host}/srv/www/index.html`,
    ]
    const gateway = ip('shop.db', 'bridge').replace(/\d+$/, '1')
    const asks = (name: string, other: string): string =>
      [
        ...[other, ip(`shop.${other}`, 'mesh'), ip(`shop.${other}`, 'bridge')].map((host) => `patiently fetch ${host}`),
        `patiently nslookup ${other}.front.internal ${gateway} | grep -c ${ip(`shop.${other}`, 'bridge')}`,
        `echo "$(hostname) was asked by ${name}"`,
      ].join('\n')
    const guests = Promise.all(
      (
        [
          ['db', 'web'],
          ['web', 'db'],
        ] as const
      ).map(async ([name, other]) => {
        const outcome = await this.run(['ssh', `shop.${name}`, '--', `${patiently}\n${asks(name, other)}`])
        const wanted = `${`${other}\n`.repeat(3)}1\n${name} was asked by ${name}\n`
        return outcome.stdout === wanted ? [] : [`${name} does not reach ${other}: ${describe(outcome)}`]
      }),
    )
    const here = (): Promise<string[]> =>
      Promise.all(
        fetches.map((place) =>
          run(this.#inside[0] ?? '', [...this.#inside.slice(1), process.execPath, '-e', fetchText, `http://127.0.0.1:${place}`]),
        ),
      ).then(
        (answers) => {
          const said = answers.map(({stdout}) => stdout.trim())
          const isRight = said[0] === 'db' && /^[0-9a-f-]{36}$/.test(said[1] ?? '') && said[2] === 'web' && said[3] === 'shared'
          return isRight ? [] : [`the ports say ${JSON.stringify(said)}`]
        },
        (error: unknown) => [`a port does not answer: ${String(error)}`],
      )
    return [...(await guests).flat(), ...(await here())]
  }

  /** What identifies the data on the volume. */
  async kept(): Promise<string> {
    return (await this.ok(['ssh', 'shop.db', '--', 'cat /data/kept'])).stdout
  }

  /** What is there although nothing should be. */
  async remains(): Promise<string[]> {
    return settled(async () => {
      const found = Object.entries(this.carriers()).flatMap(([kind, all]) => all.map((one: number | string) => `${kind}: ${one}`))
      const links = this.#ip('-o', 'link')
        .split('\n')
        .filter((line) => line !== '' && !/^\d+: lo:/.test(line))
      found.push(...links.map((line) => `interface ${line.slice(0, 60)}`))
      const rules = this.#inNamespace('nft', 'list', 'ruleset').trim()
      if (rules !== '') found.push(`rules of the firewall: ${rules}`)
      // In hexadecimal: 0A is a listening socket of TCP, 07 one of UDP (Linux, include/net/tcp_states.h).
      const listening = this.#inNamespace('cat', '/proc/net/tcp', '/proc/net/udp')
        .split('\n')
        .filter((line) => / (?:0A|07) /.test(line))
      found.push(...listening.map((line) => `a socket listens: ${line.trim().slice(0, 30)}`))
      return [...found, ...this.#files().map((path) => `left over: ${path}`)]
    })
  }

  /** Files that a state directory has only while something of it exists. */
  #files(): string[] {
    if (!existsSync(this.stateDirectory)) return []
    const lasting = /^(?:vms|volumes|networks|networks\/subnets\.json|images(?:\/(?:refs|partial))?|locks(?:\/[^/]+)?)$/
    return readdirSync(this.stateDirectory, {recursive: true, encoding: 'utf8'}).filter(
      // The text beside a lock that names a process which is no more is believed by nobody; without a process nothing holds the lock.
      (path) => !lasting.test(path),
    )
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await super[Symbol.asyncDispose]()
    spawnSync('ip', ['netns', 'delete', this.namespace], {stdio: 'ignore'})
  }
}

const run = promisify(execFile)

const fetchText =
  'fetch(process.argv[1], {signal: AbortSignal.timeout(20000)}).then((answer) => answer.text()).then((text) => process.stdout.write(text))'

/** For bash in a guest. DHCP takes a moment, and so does a web server that has just been started. */
const patiently = String.raw`
patiently() { tries=0; until "$@" 2>/dev/null; do tries=$((tries + 1)); [ $tries -lt 30 ] || return 1; sleep 0.5; done; }
fetch() { exec 3<>"/dev/tcp/$1/80" && printf 'GET /etc/hostname HTTP/1.0\r\n\r\n' >&3 && tail -n 1 <&3; }`

const lineCount = (path: string): number => (existsSync(path) ? readFileSync(path, 'utf8').trimEnd().split('\n').length : 0)

/** Field 4 of stat (proc(5)). */
const parentOf = (pid: number): number => {
  try {
    return Number(/\) \S (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1])
  } catch {
    return 0
  }
}
