import {isIPv6} from 'node:net'

import {portHolder} from '../../host/port-holder.ts'
import {lastLines, run} from '../../host/process.ts'
import {VmctlError} from '../../model/errors.ts'
import type {ForwardedPort, PortForward} from '../../model/port.ts'
import {inBrackets, sshForward} from '../../model/port.ts'
import type {QmpClient} from './qmp.ts'
import {qemuFailures} from './failures.ts'

/** All host ports that are forwarded to a VM, that of SSH first. */
export const forwardsOf = ({
  sshPort,
  ports = [],
}: {
  readonly sshPort?: number | undefined
  readonly ports?: readonly ForwardedPort[] | undefined
}): ForwardedPort[] => [...(sshPort === undefined ? [] : [{...sshForward, host: sshPort}]), ...ports]

/** The side of the host, as QEMU's `hostfwd` has it (qemu(1), "-netdev user"). */
const hostSide = ({protocol, bind, host}: ForwardedPort): string => `${protocol}:${inBrackets(bind)}:${host}`

/** `tcp:127.0.0.1:8080-:80` */
export const forwardRule = (port: ForwardedPort): string => `${hostSide(port)}-:${port.guest}`

/** `127.0.0.1:8080/tcp` */
export const describeEndpoint = ({protocol, bind, host}: Pick<ForwardedPort, 'protocol' | 'bind' | 'host'>): string =>
  `${inBrackets(bind)}:${host}/${protocol}`

/** The forwards that a running QEMU has, as `info usernet` prints them. */
export const parseForwards = (text: string): ForwardedPort[] =>
  [...text.matchAll(/^\s*(TCP|UDP)\[HOST_FORWARD\]\s+\d+\s+(\S+)\s+(\d+)\s+\S+\s+(\d+)\s/gm)].map(([, protocol, bind, host, guest]) => ({
    protocol: protocol === 'UDP' ? 'udp' : 'tcp',
    bind: bind === '*' ? '0.0.0.0' : (bind ?? ''),
    host: Number(host),
    guest: Number(guest),
  }))

/** Runs a command of the human monitor, the only one that knows forwards; what it prints is all that it tells. */
const monitor = async (qmp: QmpClient, line: string): Promise<string> =>
  String(await qmp.execute('human-monitor-command', {'command-line': line})).trim()

/** What QEMU's user network prints about itself: a line for each connection and each forward. */
export const userNetwork = async (qmp: QmpClient): Promise<string> => `${await monitor(qmp, 'info usernet')}\n`

export const runningForwards = async (qmp: QmpClient): Promise<ForwardedPort[]> => parseForwards(await userNetwork(qmp))

/**
 * How many connections through forwards the guest has accepted, of what `info usernet` prints. QEMU accepts them by itself, and sends
 * the guest a SYN, also for one that was closed meanwhile: only an established one was answered.
 */
export const acceptedConnections = (text: string): number => {
  const forwards = new Set(parseForwards(text).map(({bind, host}) => `${bind}:${host}`))
  const established = [...text.matchAll(/^\s*TCP\[ESTABLISHED\]\s+\d+\s+(\S+)\s+(\d+)\s/gm)]
  return established.filter(([, address = '', port = '']) => forwards.has(`${address}:${port}`)).length
}

/**
 * Makes the forwards of a running QEMU those that are wanted. Others of the guest are not disturbed. Idempotent.
 * @throws VmctlError `vmctl::network::port_taken`, `vmctl::network::port_refused`
 */
export const changeForwards = async (qmp: QmpClient, wanted: readonly ForwardedPort[]): Promise<void> => {
  const rules = new Set(wanted.map(forwardRule))
  const there = await runningForwards(qmp)
  for (const port of there) if (!rules.has(forwardRule(port))) await monitor(qmp, `hostfwd_remove net0 ${hostSide(port)}`)
  const kept = new Set(there.map(forwardRule))
  for (const port of wanted) {
    if (kept.has(forwardRule(port))) continue
    const refusal = await monitor(qmp, `hostfwd_add net0 ${forwardRule(port)}`)
    if (refusal !== '') throw (await refusedForward(refusal)) ?? new VmctlError(qemuFailures.qmpCommandFailed, `QEMU refused: ${refusal}`)
  }
}

/**
 * Asks QEMU itself whether it can forward from addresses of IPv6: that depends on how it was built. A machine without a processor says so
 * before it would run.
 * @throws VmctlError `vmctl::network::port_refused`
 */
export const checkForwards = async (binary: string, ports: readonly PortForward[]): Promise<void> => {
  for (const {protocol, bind} of ports) {
    if (!isIPv6(bind)) continue
    const rule = forwardRule({protocol, bind, host: 0, guest: 1})
    const args = ['-nodefaults', '-machine', 'none', '-display', 'none', '-monitor', 'stdio', '-netdev', `user,id=net0,hostfwd=${rule}`]
    const {exitCode, stderr} = await run(binary, args, {
      input: 'quit\n',
      timeoutMs: 10_000,
      notInstalled: {kind: qemuFailures.notInstalled},
    })
    if (exitCode !== 0) throw (await refusedForward(stderr)) ?? new VmctlError('vmctl::network::port_refused', lastLines(stderr, 1))
  }
}

/** The side of the host of a forward whose port QEMU could not bind, when that is what it says. */
export const takenSide = (text: string): string | undefined => /Could not set up host forwarding rule '(\S+)-:/.exec(text)?.[1]

/** The error for what QEMU says when it cannot forward a port; undefined when it says something else. */
export const refusedForward = async (text: string): Promise<VmctlError | undefined> => {
  const [, invalid, protocol, bind = '', port] = /(Invalid|Could not set up) host forwarding rule '(tcp|udp):(\S*):(\d+)-/.exec(text) ?? []
  if (invalid === undefined || port === undefined) return undefined
  const endpoint = `${bind}:${port}/${protocol}`
  if (invalid === 'Invalid') {
    return new VmctlError(
      'vmctl::network::port_refused',
      `This QEMU cannot listen on ${endpoint}: it forwards ports of IPv4 addresses only.`,
    )
  }
  return portTaken(endpoint, await portHolder(protocol === 'udp' ? 'udp' : 'tcp', Number(port)))
}

/** @param holder a VM or a process, in words */
export const portTaken = (endpoint: string, holder: string | undefined): VmctlError =>
  new VmctlError('vmctl::network::port_taken', `The port ${endpoint} is held by ${holder ?? 'another program'}.`, {
    details: {port: endpoint, ...(holder !== undefined && {holder})},
  })
