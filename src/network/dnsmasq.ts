import {open, rm} from 'node:fs/promises'
import {setTimeout as sleep} from 'node:timers/promises'

import {readIfExists, writeFileAtomic} from '../host/files.ts'
import {
  endForCertain,
  identifyProcess,
  isAlive,
  listProcesses,
  parseIdentity,
  processArguments,
  type ProcessIdentity,
} from '../host/proc.ts'
import {lastLines, spawnDetached} from '../host/process.ts'
import {messageOf, systemCode, VmctlError} from '../model/errors.ts'
import {formatAddress, parseSubnet} from '../model/ipv4.ts'
import {networkFiles} from '../model/layout.ts'
import {isVmName} from '../model/names.ts'
import {dnsEntries} from './names.ts'
import type {NetworkRecord} from './record.ts'

/** dnsmasq says that it has started within milliseconds. */
const startDeadlineMs = 10_000

/** The domain of a network: a name that no DNS server on the internet answers for (ICANN reserved `internal` in 2024). */
const domainOf = ({spec}: NetworkRecord): string => `${spec.name.toLowerCase().replaceAll(/[^a-z0-9-]/g, '-')}.internal`

/**
 * dnsmasq's configuration for a bridge, or undefined when it has nothing to do; pure. Everything is in this one file, which is read
 * before dnsmasq gives up its privileges: it could not read another one in this directory afterwards. Names are looked at once
 * more: a line of theirs would be a line of the configuration.
 */
export const dnsmasqConfig = (directory: string, record: NetworkRecord): string | undefined => {
  const {spec, bridge, gateway} = record
  const subnet = parseSubnet(record.subnet ?? '')
  if (bridge === undefined || gateway === undefined || !subnet || (!spec.dhcp && !spec.dns)) return undefined
  const files = networkFiles(directory)
  const domain = domainOf(record)
  const members = Object.values(record.members)
  const lines = [
    `interface=${bridge}`,
    'except-interface=lo',
    'bind-interfaces',
    'no-hosts',
    `pid-file=${files.dnsmasqPid}`,
    ...(spec.dns
      ? [
          'domain-needed',
          'bogus-priv',
          `domain=${domain}`,
          `local=/${domain}/`,
          ...dnsEntries(record).flatMap(({ip, names}) =>
            names.filter(isVmName).map((name) => `host-record=${name},${name}.${domain},${ip}`),
          ),
        ]
      : ['port=0']),
    ...(spec.dhcp
      ? [
          `dhcp-range=${formatAddress(subnet.first + 2)},${formatAddress(subnet.last - 1)},${netmask(subnet.prefix)},12h`,
          'dhcp-authoritative',
          `dhcp-leasefile=${files.dnsmasqLeases}`,
          // Without NAT there is no way out here; an empty option keeps dnsmasq from naming itself.
          spec.nat ? `dhcp-option=option:router,${gateway}` : 'dhcp-option=option:router',
          spec.dns ? `dhcp-option=option:dns-server,${gateway}` : 'dhcp-option=option:dns-server',
          ...(spec.mtu === undefined ? [] : [`dhcp-option=option:mtu,${spec.mtu}`]),
          ...members.flatMap(({mac, ip, hostname}) =>
            ip === undefined || !isVmName(hostname) ? [] : [`dhcp-host=${mac},${ip},${hostname},infinite`],
          ),
        ]
      : []),
  ]
  return `${lines.join('\n')}\n`
}

const netmask = (prefix: number): string => formatAddress(2 ** 32 - 2 ** (32 - prefix))

const configOption = (path: string): string => `--conf-file=${path}`

/** The dnsmasq of a network: the one on record, or any that was started with this network's configuration. Proven by its command line. */
export const findDnsmasq = async (directory: string): Promise<ProcessIdentity | undefined> => {
  const files = networkFiles(directory)
  const isOurs = async (pid: number): Promise<boolean> => (await processArguments(pid)).includes(configOption(files.dnsmasqConfig))
  const recorded = parseIdentity((await readIfExists(files.dnsmasqProcess)) ?? '')
  if (recorded && (await isAlive(recorded)) && (await isOurs(recorded.pid))) return recorded
  for (const pid of await listProcesses()) if (await isOurs(pid)) return identifyProcess(pid)
  return undefined
}

/** Whether a network that is to have a dnsmasq has none. */
export const lacksDnsmasq = async (directory: string, record: NetworkRecord): Promise<boolean> =>
  dnsmasqConfig(directory, record) !== undefined && !(await findDnsmasq(directory))

/** Makes sure that a dnsmasq serves the network as it is now, or that none does when none is needed. Idempotent. */
export const serveNetwork = async (directory: string, record: NetworkRecord, signal: AbortSignal): Promise<void> => {
  const files = networkFiles(directory)
  const config = dnsmasqConfig(directory, record)
  if (config !== undefined && (await readIfExists(files.dnsmasqConfig)) === config && (await findDnsmasq(directory))) return
  await endDnsmasq(directory)
  if (config === undefined) return
  await writeFileAtomic(files.dnsmasqConfig, config)
  await using log = await open(files.dnsmasqLog, 'w', 0o600)
  const args = ['--keep-in-foreground', '--log-facility=-', configOption(files.dnsmasqConfig)]
  const child = await spawnDetached('dnsmasq', args, {cwd: directory, output: log}).catch((error: unknown) => {
    throw systemCode(error) === 'ENOENT'
      ? new VmctlError('vmctl::host::not_installed', 'dnsmasq is not installed or not on PATH.', {
          cause: error,
          help: 'Install it (Debian, Ubuntu: `sudo apt-get install dnsmasq-base`), or give the network `dhcp #false` and `dns #false`.',
        })
      : new VmctlError('vmctl::network::failed', `Cannot run dnsmasq: ${messageOf(error)}`, {cause: error})
  })
  await writeFileAtomic(files.dnsmasqProcess, `${JSON.stringify(await identifyProcess(child.pid))}\n`)
  let ended: string | undefined
  void child.ended.then((how) => {
    ended = how
  })
  const deadline = performance.now() + startDeadlineMs
  for (;;) {
    signal.throwIfAborted()
    const said = (await readIfExists(files.dnsmasqLog)) ?? ''
    if (ended === undefined && /\bstarted\b/.test(said)) return
    if (ended !== undefined || performance.now() > deadline) {
      const how = ended === undefined ? 'does not start' : `ended at once (${ended})`
      throw new VmctlError('vmctl::network::failed', `dnsmasq for the network ${record.spec.id} ${how}: ${lastLines(said, 3)}`)
    }
    await sleep(10)
  }
}

/** Ends the dnsmasq of a network; nothing happens when there is none. */
export const endDnsmasq = async (directory: string): Promise<void> => {
  const files = networkFiles(directory)
  const running = await findDnsmasq(directory)
  if (running && !(await endForCertain(running))) {
    throw new VmctlError('vmctl::network::failed', `The dnsmasq process ${running.pid} did not end after SIGKILL.`)
  }
  await Promise.all([files.dnsmasqProcess, files.dnsmasqConfig, files.dnsmasqPid].map((path) => rm(path, {force: true})))
}
