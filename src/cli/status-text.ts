import type {VmStatus} from '../engine/show/inspect.ts'
import type {VmInterface} from '../engine/resources/interfaces.ts'
import {formatSize} from '../model/quantity.ts'
import {stripControls} from '../model/strip.ts'
import {noopBackend} from '../model/vm.ts'
import {wrap} from './wrap.ts'
import {paint, type Screen, type Style} from './screen.ts'
import {stateStyle} from './state-style.ts'
import {describeMemory, describeState} from './vm-words.ts'

/** The interface by which vmctl reaches the guest is called so where there are others. */
const describeInterface = (one: VmInterface, {interfaces, home}: VmStatus): string => {
  const {network, kind, link, mac, ip} = one
  const name = network === undefined ? nameOf(one, home) : `${network} (${kind}${link === undefined ? '' : `, bridge ${link}`})`
  const facts = [ip, network === undefined ? undefined : mac, network === undefined && interfaces.length > 1 ? 'for vmctl' : undefined]
  return [name, ...facts.filter((fact) => fact !== undefined)].join(', ')
}

const nameOf = ({kind, link}: VmInterface, home: string | undefined): string => {
  if (kind === 'tap') return `tap (bridge: ${link})`
  if (kind === 'vnic') return `vnic (${link})`
  if (kind !== 'user') return kind
  return home === undefined ? 'user (SLIRP)' : `that of the home ${home}`
}

const readOnlyMark = (isReadOnly: boolean): string => (isReadOnly ? ' (read-only)' : '')

const describeHealth = ({health, healthcheck: seen}: VmStatus): string | undefined => {
  if (!seen) return health
  const last = seen.output.split('\n').at(-1) ?? ''
  return `${health} at ${seen.checkedAt}${last === '' ? '' : `: ${last}`}`
}

/** How one gets into the guest. */
const describeLogin = ({name, state}: VmStatus, user: string | undefined): string => {
  if (user === undefined) return `vmctl console ${name} (nobody has told vmctl of a user to log in as)`
  return `vmctl ssh ${name} (as ${user}${state === 'running' ? '' : ', once it runs'})`
}

interface Line {
  readonly label: string
  readonly value: string | number | undefined
  readonly style?: Style | undefined
}

const lines = (label: string, values: readonly string[], style?: Style): readonly Line[] => values.map((value) => ({label, value, style}))

/** How it is, what is wrong with it, how to get in, what of it is reached from where, and how far it has come. */
const whatOneAsks = (vm: VmStatus, user: string | undefined): readonly Line[] => {
  const state = describeState(vm)
  const health = describeHealth(vm)
  return [
    {label: 'Name', value: vm.name},
    {label: 'State', value: state, style: stateStyle(state)},
    {label: 'Crash', value: vm.crash, style: 'red'},
    {label: 'Paused', value: vm.pause, style: 'yellow'},
    {label: 'Failure', value: vm.failure && `${vm.failure.operation} at ${vm.failure.at}: ${vm.failure.message}`, style: 'red'},
    ...lines('Problem', vm.problems ?? [], 'red'),
    {label: 'Home', value: vm.member === undefined ? vm.home : `${vm.home}, member ${vm.member}`},
    {label: 'Log in', value: describeLogin(vm, user)},
    ...lines(
      'Port',
      (vm.ports ?? []).map(({protocol, bind, host, guest}) => `${bind}:${host} → ${guest}/${protocol}`),
    ),
    {label: 'Health', value: health, style: health === undefined ? undefined : stateStyle(health)},
    ...vm.provision.map(({step, title, state: known}) => ({label: `Step ${step}`, value: `${known} (${title})`, style: stateStyle(known)})),
  ]
}

const whatItIs = (vm: VmStatus): readonly Line[] => [
  ...lines(
    'Network',
    vm.interfaces.map((one) => describeInterface(one, vm)),
  ),
  ...lines(
    'Volume',
    vm.volumes.map(({volume, target, device, readOnly}) => `${volume} → ${target ?? device}${readOnlyMark(readOnly)}`),
  ),
  ...lines(
    'Share',
    vm.shares.map(({source, target, readOnly}) => `${source} → ${target}${readOnlyMark(readOnly)}`),
  ),
  {label: 'vCPUs', value: vm.vcpus},
  {label: 'Memory', value: describeMemory(vm.memoryMiB)},
  {label: 'Disk', value: formatSize(vm.diskBytes)},
  {label: 'Image', value: vm.image},
  {label: 'VMFile', value: vm.vmfile},
  {label: 'Created', value: vm.createdAt},
]

const internals = (vm: VmStatus): readonly Line[] => [
  {label: 'ID', value: vm.id},
  {label: 'Backend', value: vm.backend === noopBackend ? `${vm.backend} (no real VM is made)` : vm.backend},
  {label: 'Accel', value: vm.accelerator},
  {label: 'PID', value: vm.pid},
  {label: 'SSH', value: vm.sshPort === undefined ? undefined : `127.0.0.1:${vm.sshPort}`},
  {label: 'VNC', value: vm.vncAddress},
  {label: 'MAC', value: vm.macAddress},
  {label: 'WorkDir', value: vm.workDirectory},
  {label: 'Overlay', value: vm.overlay},
  {label: 'Seed', value: vm.seed},
]

const labelWidth = 11

/** The lines of `vmctl status`, what one asks first; what does not apply is left out. `user` is who can log in. */
export const describeStatus = (vm: VmStatus, user: string | undefined, screen: Screen = {colour: false}): string =>
  [...whatOneAsks(vm, user), ...whatItIs(vm), ...internals(vm)]
    .flatMap(({label, value, style}) => {
      if (value === undefined) return []
      const text = stripControls(String(value))
      // A path that is broken here could not be copied any longer.
      const pieces = text.includes(' ') ? wrap(text, Math.max(20, (screen.width ?? Infinity) - labelWidth)) : [text]
      return pieces.map((piece, index) => `${(index === 0 ? `${label}:` : '').padEnd(labelWidth - 1)} ${paint(style, piece, screen)}`)
    })
    .join('\n')
