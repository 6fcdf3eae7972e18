import {type HomeSpec, localHome} from '../../model/home.ts'
import type {VmSpec} from '../../model/vm.ts'
import {always, namesOf} from '../grammar/change.ts'
import {label, text, word} from '../grammar/kinds.ts'
import {block, defaulted, field, type Read, type ReadFields, required} from '../grammar/shapes.ts'
import type {Span} from '../kdl/report.ts'
import {quoted} from '../kdl/wording.ts'
import {type Context, optional} from '../resolve/context.ts'
import type {deviceNode} from './device.ts'
import type {firmwareNode} from './firmware.ts'
import type {imageNode} from './image.ts'
import type {networkNode} from './network-types.ts'
import type {Connections} from './network.ts'
import type {DeclaredPort, portNode} from './port.ts'
import type {shareNode} from './share.ts'
import type {sshNode} from './ssh.ts'
import type {volumeNode} from './volume.ts'

const name = (noun: string, example: string) => label(noun, example)

export const homeNode = block(
  'Where the VMs live, when that is not this host; --home and VMCTL_HOME choose another one.',
  {argument: required(word('kind of home', 'incus'), 'Kind of home.'), body: 'fields'},
  {
    remote: required(name('name of a home', '"lab"'), 'Name of the home, as `vmctl home add` has called it.'),
    project: field(name('project', '"shop"'), 'Project of the server; that of the home when absent.'),
    pool: field(name('storage pool', '"fast"'), 'Storage pool of the disks; that of the default profile when absent.'),
    network: field(name('network', '"incusbr0"'), 'Network of the server that the VMs join; that of the default profile when absent.'),
  },
)

export const kindNode = defaulted(
  word('kind', 'vm', 'container'),
  'vm',
  'A machine of its own, or a system container, which shares the kernel of the server; only in a home.',
)

export const placeNode = block(
  'Where in a cluster; the server chooses when absent.',
  {body: 'fields', exclusive: ['member', 'group']},
  {
    member: field(text('member', {example: '"n2"'}), 'Member of the cluster.'),
    group: field(text('group', {example: '"edge"'}), 'Group of members, of which the server chooses one.'),
  },
)

type HomeFields = ReadFields<{
  kind: typeof kindNode
  place: typeof placeNode
  image: typeof imageNode
  network: typeof networkNode
  port: typeof portNode
  volume: typeof volumeNode
  share: typeof shareNode
  device: typeof deviceNode
  ssh: typeof sshNode
  firmware: typeof firmwareNode
}>

/** The home of the VMs of a file: the one that was asked for, else the one that the file names. */
export const buildHome = (written: Read<typeof homeNode>, {home: asked}: Context): HomeSpec | undefined => {
  const named = written?.fields.remote?.value
  if (asked === localHome || (asked ?? named) === undefined) return undefined
  const chosen = asked ?? named ?? ''
  if (!written || chosen !== named) return {name: chosen}
  const {project, pool, network} = written.fields
  return {
    name: chosen,
    ...optional('project', project?.value),
    ...optional('pool', pool?.value),
    ...optional('network', network?.value),
  }
}

/** What a spec has of its home. */
export const buildPlacement = (
  {kind, place}: Pick<HomeFields, 'kind' | 'place'>,
  home: HomeSpec | undefined,
): Pick<VmSpec, 'home' | 'kind' | 'place'> => {
  if (!home) return {}
  const {member, group} = place?.fields ?? {}
  return {
    home,
    ...(kind.value === 'container' && {kind: kind.value}),
    ...(place && {place: {...optional('member', member?.value), ...optional('group', group?.value)}}),
  }
}

/** Reports what a VM asks for that its home, or this host, does not have. Whoever only wants to stop it is not kept from that. */
export const refuseByHome = (
  fields: HomeFields,
  {
    home,
    connections,
    ports,
  }: {readonly home: HomeSpec | undefined; readonly connections: Connections; readonly ports: readonly DeclaredPort[]},
  {report, backends, toleratesMissing}: Context,
): void => {
  if (toleratesMissing) return
  const {kind, place} = fields
  if (!home) {
    if (kind.value === 'container')
      report.error(
        kind,
        'this host has no system containers',
        'leave it out, or choose a home: home "incus" { remote "…" }, or --home NAME',
      )
    if (place) report.warning(place, 'a place has no effect on this host', 'it is for homes that are clusters')
    return
  }
  const refuse = (node: Span | undefined, what: string, hint: string): void => {
    if (node) report.error(node, `${what} cannot be had in the home ${quoted(home.name)}`, hint)
  }
  refuse(fields.share[0], 'a folder of this host', 'copy it: provision "file", or `vmctl cp`')
  refuse(fields.device[0], 'a device of this host', 'remove it, or bring the VM up with --home local')
  refuse(
    kind.value === 'vm' ? fields.port[0] : undefined,
    'a published port of a VM',
    'write kind "container", or tunnel it: `ssh -L`, with `vmctl ssh-config`',
  )
  for (const {spec, place: port} of ports)
    if (kind.value === 'container' && /^127\.|^::1$|^localhost$/.test(spec.bind))
      report.error(
        port,
        `a port of ${spec.bind} would be for the server of the home alone`,
        'write bind="0.0.0.0", or an address of the server',
      )
  refuse(fields.volume[0], 'a volume', 'keep the data on the disk of the VM, or bring it up with --home local')
  for (const node of fields.network) if (node.type === 'tap' || node.type === 'vnic') refuse(node, `network "${node.type}"`, joined)
  for (const {spec, place: joins} of connections.attachments)
    if (spec.network.driver !== 'mesh')
      refuse(joins, `a network of the driver ${spec.network.driver}`, 'leave driver out: a mesh connects its VMs')
  refuse(fields.ssh?.fields.port, 'a port of this host for SSH', 'remove it: `vmctl ssh` finds the way by itself')
  const {firmware} = fields
  refuse(firmware?.fields.code ?? firmware?.fields.vars, 'firmware of your own', 'leave code and vars out')
  const written: Readonly<Record<string, unknown>> = fields
  for (const backend of backends.keys())
    refuse(written[backend] as Span | undefined, `${backend} { … }`, `it is for the backend ${backend} of this host`)
  if (kind.value === 'container') refuseOfContainer(fields, report)
}

const joined = 'write home "incus" { network "…" } for another network of the server'

const refuseOfContainer = ({firmware, image}: HomeFields, report: Context['report']): void => {
  if (firmware) report.error(firmware, 'a container has no firmware', 'remove it')
  const named = image?.argument
  if (named && /^[\w.-]+:[\w.-]+$/.test(named.value)) {
    report.error(
      named,
      `${quoted(named.value)} is the disk of a VM, and a container wants a root file system`,
      'name a squashfs or an archive as Incus has them: image "./rootfs.squashfs"',
    )
  }
}

export const homeChange = always<'home'>('reload', (applied, wanted) => {
  const [from, to] = [applied?.name ?? localHome, wanted?.name ?? localHome]
  return from === to ? namesOf('home')({...applied}, {...wanted}) : `home ${from} → ${to}`
})

export const kindChange = always<'kind'>('reload', (applied, wanted) => `kind ${applied ?? 'vm'} → ${wanted ?? 'vm'}`)

export const placeChange = always<'place'>('reload', (applied, wanted) => namesOf('place')({...applied}, {...wanted}))
