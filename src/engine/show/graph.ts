import {instanceName} from '../../model/names.ts'
import type {DependencyCondition} from '../../model/order.ts'
import type {Vmfile} from '../load.ts'

/** What depends on what in a VMFile; the `--json` shape of `vmctl graph`. */
export interface Graph {
  /** In the order in which they can start: a node stands in a later level than everything it waits for. */
  readonly levels: readonly (readonly string[])[]
  readonly edges: readonly GraphEdge[]
  /** The VMs of services with several of them. */
  readonly replicas: readonly Replicas[]
}

export interface Replicas {
  /** With its project: `shop.web`. */
  readonly service: string
  readonly vms: readonly string[]
}

export interface GraphEdge {
  readonly from: string
  /** What `from` waits for. */
  readonly to: string
  readonly condition: DependencyCondition
}

/** The dependencies of a VMFile, which has no cycles: that was checked when it was read. */
export const graphOf = ({vms}: Vmfile): Graph => {
  const edges = vms.flatMap(({name, dependsOn = []}) => dependsOn.map(({vm, condition}) => ({from: name, to: vm, condition})))
  const level = new Map<string, number>()
  const levelOf = (name: string): number => {
    const known = level.get(name)
    if (known !== undefined) return known
    const found = Math.max(-1, ...edges.filter(({from}) => from === name).map(({to}) => levelOf(to))) + 1
    level.set(name, found)
    return found
  }
  const levels: string[][] = []
  for (const {name} of vms) (levels[levelOf(name)] ??= []).push(name)
  return {levels, edges, replicas: replicasOf(vms)}
}

const replicasOf = (vms: Vmfile['vms']): readonly Replicas[] => {
  const services = Map.groupBy(
    vms.filter(({service}) => service !== undefined),
    ({project, service = ''}) => instanceName({project, service}),
  )
  return [...services].flatMap(([service, members]) => (members.length > 1 ? [{service, vms: members.map(({name}) => name)}] : []))
}
