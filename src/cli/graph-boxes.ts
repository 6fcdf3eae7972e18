import type {Graph, GraphEdge} from '../engine/show/graph.ts'

/** A VM, or all replicas of a service, as one thing of a drawing. */
export interface GraphBox {
  readonly name: string
  readonly members: readonly string[]
}

export interface Boxes {
  /** As in `Graph`. */
  readonly levels: readonly (readonly GraphBox[])[]
  /** By the names of boxes. */
  readonly edges: readonly GraphEdge[]
}

/** Draws replicas together, unless something waits for only some of them, or they wait for different things. */
export const boxesOf = (graph: Graph): Boxes => {
  const {levels, edges} = graph
  const boxes = new Map<string, GraphBox>()
  for (const {service, vms} of graph.replicas) {
    if (areAlike(vms, edges)) for (const vm of vms) boxes.set(vm, {name: service, members: vms})
  }
  const boxOf = (vm: string): GraphBox => boxes.get(vm) ?? {name: vm, members: [vm]}
  const unique = <T>(all: readonly T[], key: (one: T) => string): readonly T[] => [...new Map(all.map((one) => [key(one), one])).values()]
  return {
    levels: levels.map((names) => unique(names.map(boxOf), ({name}) => name)),
    edges: unique(
      edges.map(({from, to, condition}) => ({from: boxOf(from).name, to: boxOf(to).name, condition})),
      ({from, to, condition}) => JSON.stringify([from, to, condition]),
    ),
  }
}

const areAlike = (vms: readonly string[], edges: readonly GraphEdge[]): boolean => {
  const around = vms.map((vm) =>
    edges
      .flatMap(({from, to, condition}) => (from === vm ? [`> ${to} ${condition}`] : to === vm ? [`< ${from} ${condition}`] : []))
      .toSorted()
      .join('\n'),
  )
  return new Set(around).size === 1
}

/** `shop.web ×3`. */
export const titleOf = ({name, members}: GraphBox): string => (members.length > 1 ? `${name} ×${members.length}` : name)
