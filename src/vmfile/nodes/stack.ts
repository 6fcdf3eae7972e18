import type {BackendNodes} from '../../model/backend-node.ts'
import {canLogIn} from '../../model/login.ts'
import type {VolumeSpec} from '../../model/storage.ts'
import type {NetworkSpec} from '../../model/network.ts'
import {whyUnsaveable} from '../../model/saveable.ts'
import type {VmSpec} from '../../model/vm.ts'
import {block, type Located, type ReadFields} from '../grammar/shapes.ts'
import type {Report, Span} from '../kdl/report.ts'
import type {Context} from '../resolve/context.ts'
import {inherit} from '../resolve/inherit.ts'
import {checkNames, instancesOf, scopeOf} from '../resolve/names.ts'
import {withBackends} from './backend.ts'
import {buildDependencies, type Ordered} from './depends-on.ts'
import {buildNetworks, defaultNetwork, type DeclaredNetworks, implyNetwork, networkDefinitionNode} from './network-definition.ts'
import {buildHome} from './home.ts'
import {checkMembers} from './network-members.ts'
import {meetingPlaces} from './network.ts'
import {refuseClashes} from './port.ts'
import {projectNode} from './project.ts'
import {buildService, expandService, type ReadVm, type Service, type Surroundings, vmDefaults, vmNode} from './vm.ts'
import {buildVolumes, refuseTwoWriters, volumeDefinitionNode, warnUnused} from './volume.ts'

/**
 * The language, as data: the reader interprets this table, and the reference is generated from it. Each node stands in a file of this
 * folder with what it becomes in a spec and with how a change of it is told.
 */
export const vmfile = block(
  'A VMFile.',
  {},
  {project: projectNode, network: networkDefinitionNode, volume: volumeDefinitionNode, vm: vmNode},
)

/** The language with the nodes of backends. */
export const languageWith = (backends: BackendNodes): typeof vmfile => {
  const {project, vm} = vmfile.fields
  const {defaults} = project.fields
  const ofDefaults = {...defaults, fields: withBackends(defaults.fields, backends)}
  return {
    ...vmfile,
    fields: {
      ...vmfile.fields,
      project: {...project, fields: {...project.fields, defaults: ofDefaults}},
      vm: {...vm, fields: withBackends(vm.fields, backends)},
    },
  }
}

export type ReadFile = ReadFields<(typeof vmfile)['fields']>

/** What a VMFile says, checked against itself and against the files that it names. */
export interface Stack {
  readonly project?: ProjectSpec
  /** As declared, in the order of the file; that of a project which declares none. */
  readonly networks: readonly NetworkSpec[]
  /** That the VMs of the project share a network which the file does not declare. */
  readonly impliesNetwork?: true
  readonly volumes: readonly VolumeSpec[]
  /** One for each replica, in the order of the file. A VM that is too broken to describe is left out. */
  readonly vms: readonly VmSpec[]
}

export interface ProjectSpec {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
}

/** @param path absolute path of the VMFile */
export const buildStack = async (
  file: ReadFile,
  path: string,
  context: Context,
): Promise<Stack & {/** Where each VM is named. */ readonly spans: ReadonlyMap<string, Span>}> => {
  const {report} = context
  if (file.vm.length === 0 && !report.hasErrors()) {
    report.error({start: 0, end: 1}, 'no vm definitions found', 'add vm "name" { image "…" }')
  }
  const project = file.project?.argument?.value
  const scope = scopeOf(project, path)
  const defaults = file.project?.fields.defaults?.fields
  const inherited = withBackends(vmDefaults, context.backends)
  const vms: readonly ReadVm[] = file.vm.map((vm) => ({...vm, fields: {...vm.fields, ...inherit(inherited, vm.fields, defaults)}}))
  const implied = impliedNetwork(file, vms, scope)
  const around: Surroundings = {
    project,
    home: buildHome(file.project?.fields.home, context),
    projectKeys: file.project?.fields['ssh-key'] ?? [],
    isWarm: file.project?.fields.warm?.value === true,
    projectLabels: file.project?.fields.label ?? new Map(),
    networks: implied ?? buildNetworks(file.network, scope, context),
    volumes: buildVolumes(file.volume, scope, context),
  }
  const services = await Promise.all(vms.map((vm) => buildService(vm, instancesOfVm(vm, project), around, context)))
  checkNames(
    vms.flatMap((vm, index) => {
      const service = services[index]
      return vm.argument && service ? [{name: vm.argument, instances: service.instances, hostReason: hostReasonOf(service, project)}] : []
    }),
    context,
  )
  checkMembers(services, around.networks, context)
  refuseClashes(services, context)
  refuseTwoWriters(services, context)
  warnUnsaveable(file.project?.fields.warm, services, report)
  warnUnused(around.volumes, services, report)
  const dependencies = buildDependencies(
    services.map((service, index) => orderOf(service, vms[index])),
    context,
  )
  return {
    ...(project !== undefined && {project: {name: project, labels: labelsOf(file)}}),
    networks: [...around.networks.values()].map(({spec}) => spec),
    ...(implied && {impliesNetwork: true}),
    volumes: [...around.volumes.values()].map(({spec}) => spec),
    vms: services.flatMap((service) => expandService(service, project, dependencies.get(service.name) ?? [])),
    spans: new Map(
      services.flatMap((service, index) => {
        const span = vms[index]?.argument
        return span ? service.instances.map((name) => [name, span] as const) : []
      }),
    ),
  }
}

/**
 * The VMs of a project share a network without a word, unless the file speaks of networks itself: it declares some, or its VMs name
 * another way to be connected. A network of one VM is none.
 */
const impliedNetwork = ({project, network}: ReadFile, vms: readonly ReadVm[], scope: string): DeclaredNetworks | undefined => {
  if (!project?.argument || network.length > 0) return undefined
  const joins = ({fields}: ReadVm): boolean =>
    fields.network.length === 0 || fields.network.some((node) => node.type === 'named' && node.name.value === defaultNetwork)
  const members = vms.filter(joins).reduce((count, {fields}) => count + fields.replicas.value, 0)
  return members > 1 ? implyNetwork(scope, project.argument) : undefined
}

const instancesOfVm = ({argument, fields}: ReadVm, project: string | undefined): readonly string[] =>
  instancesOf(argument?.value ?? '', fields.replicas.value, project)

const hostReasonOf = ({instances, connections}: Service, project: string | undefined): string | undefined => {
  if (instances.length > 1) return 'replicas are hosts of their own'
  if (connections.attachments.length > 0) return 'the VMs of a network find each other by name'
  return project === undefined ? undefined : 'the VMs of a project find each other by name'
}

const orderOf = ({name, instances, common, connections}: Service, vm: ReadVm | undefined): Ordered => ({
  name,
  instances,
  hasHealthcheck: vm?.fields.healthcheck !== undefined,
  hasLogin: !common || canLogIn(common),
  meets: meetingPlaces(connections),
  joinsDefault: vm?.fields.network.length === 0,
  nodes: vm?.fields['depends-on'] ?? [],
})

const labelsOf = (file: ReadFile): Record<string, string> =>
  Object.fromEntries([...(file.project?.fields.label ?? [])].map(([name, {value}]) => [name, value]))

/** What `down` of a project that is warm does with a VM is not what its VMFile says of all of them. */
const warnUnsaveable = (warm: Located<boolean> | undefined, services: readonly Service[], report: Report): void => {
  if (!warm?.value) return
  for (const {name, common} of services) {
    const why = common && whyUnsaveable(common)
    if (why !== undefined) report.warning(warm, `vm "${name}" cannot stay warm: ${why}`, '`vmctl down` powers it off')
  }
}
