import {type Dependency, dependencyConditions} from '../../model/order.ts'
import {always, listOf} from '../grammar/change.ts'
import {text, word} from '../grammar/kinds.ts'
import {block, field, list, type Read} from '../grammar/shapes.ts'
import type {Report, Span} from '../kdl/report.ts'
import {nearest, plain} from '../kdl/wording.ts'
import type {Context} from '../resolve/context.ts'

export const dependsOnNode = block(
  'Other VMs of the file that must come first.',
  {positional: ['vm'], repeatable: true},
  {
    vm: list(text('VM name', {example: '"db"'}), 'Services, or single replicas.'),
    condition: field(
      word('condition', ...dependencyConditions),
      'How far they must have come; "healthy" when absent if they have a health check, else "started".',
    ),
  },
)

type ReadDependency = Read<typeof dependsOnNode>[number]

/** What the checks of the order need to know of a service. */
export interface Ordered {
  /** As the file calls it. */
  readonly name: string
  /** Store names, by replica. */
  readonly instances: readonly string[]
  readonly hasHealthcheck: boolean
  readonly hasLogin: boolean
  /** Where other VMs can reach it; undefined when it wants no network. */
  readonly meets: ReadonlySet<string> | undefined
  /** Whether it joins the network "default", when there is one. */
  readonly joinsDefault: boolean
  readonly nodes: readonly ReadDependency[]
}

/**
 * Finds what each service waits for, as store names.
 * @returns by the name of the service
 */
export const buildDependencies = (services: readonly Ordered[], {report}: Context): ReadonlyMap<string, readonly Dependency[]> => {
  const targets = new Map<string, {readonly service: Ordered; readonly instances: readonly string[]}>()
  for (const service of services) {
    const {name, instances} = service
    if (instances.length === 1) targets.set(`${name}-0`, {service, instances})
    for (const [index, instance] of instances.entries())
      if (instances.length > 1) targets.set(`${name}-${index}`, {service, instances: [instance]})
  }
  for (const service of services) targets.set(service.name, {service, instances: service.instances})
  const edges: Edge[] = []
  const apart: Apart[] = []
  const found = services.map((service) => {
    const seen = new Map<string, Span>()
    const dependencies = service.nodes.flatMap(({fields: {vm: names, condition}, ...place}) => {
      if (names.length === 0) report.error(place, 'depends-on needs the name of a VM', 'write depends-on "db"')
      return names.flatMap((name): readonly Dependency[] => {
        const target = targets.get(name.value)
        if (!target) {
          const known = [...new Set(services.map((one) => one.name))].filter((one) => one !== '' && one !== service.name)
          report.error(
            name,
            `there is no VM named ${plain(name.value)} in this file`,
            nearest(name.value, known) ?? (known.length > 0 ? `it has ${known.slice(0, 12).join(', ')}` : 'it has no other VM'),
          )
          return []
        }
        const first = seen.get(name.value)
        if (first) report.error(name, `${plain(name.value)} is given twice`, `it is in line ${report.lineOf(first.start)} already`)
        seen.set(name.value, name)
        edges.push({from: service.name, to: target.service.name, place: name})
        const wanted = condition?.value ?? (target.service.hasHealthcheck ? 'healthy' : 'started')
        refuseUnreachable(wanted, target.service, condition ?? name, report)
        if (isApart(service, target.service)) apart.push({from: service, to: target.service, place: name})
        return target.instances.map((vm) => ({vm, condition: wanted}))
      })
    })
    return [service.name, dependencies] as const
  })
  refuseCycles(edges, report)
  if (!report.hasErrors()) warnApart(apart, report)
  return new Map(found)
}

const refuseUnreachable = (condition: Dependency['condition'], target: Ordered, place: Span, report: Report): void => {
  if (condition === 'healthy' && !target.hasHealthcheck) {
    report.error(
      place,
      `VM "${target.name}" has no health check, so it is never healthy`,
      `add healthcheck { … } to it, or wait for condition="ssh"`,
    )
  } else if (condition !== 'started' && !target.hasLogin) {
    report.error(
      place,
      `vmctl cannot log in to VM "${target.name}", so it is never known to be ${condition}`,
      'wait for condition="started", or give it a network and ssh',
    )
  }
}

interface Apart {
  readonly from: Ordered
  readonly to: Ordered
  readonly place: Span
}

const isApart = (from: Ordered, to: Ordered): boolean =>
  from !== to && from.meets !== undefined && to.meets !== undefined && from.meets.isDisjointFrom(to.meets)

/**
 * Whoever waits for another VM nearly always wants to talk to it, and a name that nothing resolves is found late. In a file
 * without networks one remedy helps all, so it is said once.
 */
const warnApart = (apart: readonly Apart[], report: Report): void => {
  const isBare = ({from, to}: Apart): boolean => from.meets?.size === 0 && to.meets?.size === 0 && from.joinsDefault && to.joinsDefault
  const first = apart.find(isBare)
  for (const one of apart) {
    if (isBare(one) && one !== first) continue
    report.warning(
      one.place,
      `${one.from.name} waits for ${one.to.name}, but shares no network with it`,
      isBare(one)
        ? 'declare network "default" at the top level: VMs that name no network join it'
        : 'name one network in both of them, if they are to reach each other',
    )
  }
}

interface Edge {
  readonly from: string
  readonly to: string
  readonly place: Span
}

/** Reports each cycle once, at the first of its places in the file. */
const refuseCycles = (edges: readonly Edge[], report: Report): void => {
  const next = Map.groupBy(edges, ({from}) => from)
  const done = new Set<string>()
  for (const start of next.keys()) {
    // Depth first with a stack of our own: a file can hold a chain of thousands of VMs.
    const path: Edge[] = []
    const onPath = new Set<string>()
    const pending: {readonly name: string; readonly left: Edge[]}[] = []
    const enter = (name: string): void => {
      onPath.add(name)
      pending.push({name, left: [...(next.get(name) ?? [])]})
    }
    if (!done.has(start)) enter(start)
    for (let top = pending.at(-1); top; top = pending.at(-1)) {
      const edge = top.left.shift()
      if (!edge) {
        done.add(top.name)
        onPath.delete(top.name)
        pending.pop()
        path.pop()
      } else if (onPath.has(edge.to)) {
        reportCycle([...path.slice(pending.findIndex(({name}) => name === edge.to)), edge], report)
      } else if (!done.has(edge.to)) {
        path.push(edge)
        enter(edge.to)
      }
    }
  }
}

const reportCycle = (cycle: readonly Edge[], report: Report): void => {
  const at = cycle.reduce((least, {place}, index) => (place.start < (cycle[least]?.place.start ?? 0) ? index : least), 0)
  const [first, ...others] = [...cycle.slice(at), ...cycle.slice(0, at)]
  if (!first) return
  if (others.length === 0) {
    report.error(first.place, `VM "${first.from}" depends on itself`, 'remove it')
    return
  }
  const path = [first.from, ...[first, ...others].map(({to}) => to)].join(' → ')
  const places = others.map(({from, to, place}) => `${from} → ${to} in line ${report.lineOf(place.start)}`).join(', ')
  report.error(first.place, `these VMs wait for each other: ${path}`, `remove one of the dependencies; the others are ${places}`)
}

export const dependsOnChange = always<'dependsOn'>(
  'now',
  listOf('depends-on', ({vm}) => vm),
)
