import type {VmStatus} from '../engine/show/inspect.ts'
import type {VmInterface} from '../engine/resources/interfaces.ts'
import {formatSize} from '../model/quantity.ts'

/** The interface by which vmctl reaches the guest is called so where there are others. */
const describeInterface = (one: VmInterface, {interfaces}: VmStatus): string => {
  const {network, kind, link, mac, ip} = one
  const name = network === undefined ? nameOf(one) : `${network} (${kind}${link === undefined ? '' : `, bridge ${link}`})`
  const facts = [ip, network === undefined ? undefined : mac, network === undefined && interfaces.length > 1 ? 'for vmctl' : undefined]
  return [name, ...facts.filter((fact) => fact !== undefined)].join(', ')
}

const nameOf = ({kind, link}: VmInterface): string => {
  if (kind === 'tap') return `tap (bridge: ${link})`
  if (kind === 'vnic') return `vnic (${link})`
  return kind === 'user' ? 'user (SLIRP)' : kind
}

const readOnlyMark = (isReadOnly: boolean): string => (isReadOnly ? ' (read-only)' : '')

const describeHealth = ({health, healthcheck: seen}: VmStatus): string | undefined => {
  if (!seen) return health
  const last = seen.output.split('\n').at(-1) ?? ''
  return `${health} at ${seen.checkedAt}${last === '' ? '' : `: ${last}`}`
}

/** The lines of `vmctl status`; what does not apply is left out. */
export const describeStatus = (vm: VmStatus): string => {
  const lines: (readonly [string, string | number | undefined])[] = [
    ['Name', vm.name],
    ['ID', vm.id],
    ['Backend', vm.backend],
    ['State', vm.state],
    ['vCPUs', vm.vcpus],
    ['Memory', `${vm.memoryMiB} MB`],
    ['Disk', formatSize(vm.diskBytes)],
    ...vm.interfaces.map((one) => ['Network', describeInterface(one, vm)] as const),
    ...vm.volumes.map(
      ({volume, target, device, readOnly}) => ['Volume', `${volume} → ${target ?? device}${readOnlyMark(readOnly)}`] as const,
    ),
    ...vm.shares.map(({source, target, readOnly}) => ['Share', `${source} → ${target}${readOnlyMark(readOnly)}`] as const),
    ['WorkDir', vm.workDirectory],
    ['Overlay', vm.overlay],
    ['Seed', vm.seed],
    ['PID', vm.pid],
    ['VNC', vm.vncAddress],
    ['SSH', vm.sshPort === undefined ? undefined : `127.0.0.1:${vm.sshPort}`],
    ...(vm.ports ?? []).map(({protocol, bind, host, guest}) => ['Port', `${bind}:${host} → ${guest}/${protocol}`] as const),
    ['MAC', vm.macAddress],
    ['Accel', vm.accelerator],
    ['Image', vm.image],
    ['VMFile', vm.vmfile],
    ['Created', vm.createdAt],
    ['Health', describeHealth(vm)],
    ['Crash', vm.crash],
    ['Paused', vm.pause],
    ['Failure', vm.failure && `${vm.failure.operation} at ${vm.failure.at}: ${vm.failure.message}`],
    ...(vm.troubles ?? []).map((trouble) => ['Trouble', trouble] as const),
    ...vm.provision.map(({step, title, state}) => [`Step ${step}`, `${state} (${title})`] as const),
  ]
  return lines.flatMap(([label, value]) => (value === undefined ? [] : [`${`${label}:`.padEnd(10)} ${value}`])).join('\n')
}
