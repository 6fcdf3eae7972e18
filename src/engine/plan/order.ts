import {VmctlError} from '../../model/errors.ts'
import type {Dependency, DependencyCondition} from '../../model/order.ts'
import type {VmSpec} from '../../model/vm.ts'
import type {Awaited, Place} from './vm-plan.ts'
import type {PlanStep, Verb} from './vm-plan.ts'

/** The place of a VM that nothing depends on and that depends on nothing. */
export const alone: Place = {after: [], demands: [], notices: []}

/** What is known of a VM that is not worked on itself. */
export interface Unselected {
  readonly spec: VmSpec
  readonly isRunning: boolean
}

/**
 * The chosen VMs in an order in which every one comes after those that it depends on; as in the file where it is free.
 * @throws VmctlError `vmctl::vmfile::validation` with the path of a cycle
 */
export const inOrder = (specs: readonly VmSpec[]): readonly VmSpec[] => {
  const byName = new Map(specs.map((spec) => [spec.name, spec]))
  const sorted: VmSpec[] = []
  const done = new Set<string>()
  const visit = (spec: VmSpec, path: readonly string[]): void => {
    if (done.has(spec.name)) return
    const start = path.indexOf(spec.name)
    if (start !== -1) {
      const cycle = [...path.slice(start), spec.name].join(' → ')
      throw new VmctlError('vmctl::vmfile::validation', `The VMs depend on each other in a cycle: ${cycle}.`, {
        help: 'Remove one `depends-on` of the cycle from the VMFile.',
      })
    }
    for (const {vm} of spec.dependsOn ?? []) {
      const dependency = byName.get(vm)
      if (dependency) visit(dependency, [...path, spec.name])
    }
    done.add(spec.name)
    sorted.push(spec)
  }
  for (const spec of specs) visit(spec, [])
  return sorted
}

/** The chosen VMs and all that they depend on, in the order of the file. */
export const withDependencies = (all: readonly VmSpec[], chosen: readonly VmSpec[]): readonly VmSpec[] => {
  const byName = new Map(all.map((spec) => [spec.name, spec]))
  const wanted = new Set<string>()
  const visit = (name: string): void => {
    if (wanted.has(name)) return
    wanted.add(name)
    for (const {vm} of byName.get(name)?.dependsOn ?? []) visit(vm)
  }
  for (const {name} of chosen) visit(name)
  return all.filter(({name}) => wanted.has(name))
}

export interface Surroundings {
  readonly verb: Verb
  /** Names of the VMs that are about to start. */
  readonly starters: ReadonlySet<string>
  readonly unselected?: readonly Unselected[]
}

/** Where each of the VMs that are worked on stands: whom it waits for, and who waits for it. Pure. */
export const placesOf = (specs: readonly VmSpec[], {verb, starters, unselected = []}: Surroundings): ReadonlyMap<string, Place> => {
  const chosen = new Set(specs.map(({name}) => name))
  const dependenciesOf = ({dependsOn = []}: VmSpec): readonly Dependency[] => dependsOn.filter(({vm}) => chosen.has(vm))
  const dependentsOf = (name: string, among: readonly VmSpec[]): readonly VmSpec[] =>
    among.filter(({dependsOn = []}) => dependsOn.some(({vm}) => vm === name))
  const goesDown = verb === 'down'
  const place = (spec: VmSpec): Place => {
    const {name, dependsOn = []} = spec
    const besides = unselected.filter((one) => one.isRunning === goesDown).map((one) => one.spec)
    return {
      after: goesDown ? dependentsOf(name, specs).map(({name: vm}) => ({vm, condition: 'over' as const})) : dependenciesOf(spec),
      demands: dependentsOf(name, specs).flatMap((dependent) =>
        starters.has(dependent.name)
          ? dependenciesOf(dependent)
              .filter(({vm}) => vm === name)
              .map(({condition}) => ({by: dependent.name, condition}))
          : [],
      ),
      notices: goesDown
        ? dependentsOf(name, besides).map((one) => `${one.name}, which depends on it, is still running`)
        : besides.filter((one) => dependsOn.some(({vm}) => vm === one.name)).map((one) => `depends on ${one.name}, which is not running`),
    }
  }
  return new Map(specs.map((spec) => [spec.name, place(spec)]))
}

const words: Readonly<Record<Awaited['condition'], (vm: string) => string>> = {
  started: (vm) => `${vm} has started`,
  ssh: (vm) => `${vm} answers by SSH`,
  healthy: (vm) => `${vm} is healthy`,
  provisioned: (vm) => `${vm} is provisioned`,
  over: (vm) => `${vm} is stopped`,
}

/** `db is healthy`. */
export const describeAwaited = ({vm, condition}: Awaited): string => words[condition](vm)

/** Whether a VM has come past a condition when these steps of its plan are left. At the end of its plan it has come past all. */
export const isReached = (condition: DependencyCondition, rest: readonly PlanStep[], isGuestReady: boolean): boolean => {
  const open = new Set(rest.map(({action}) => action))
  const mayBoot = ['fetch-image', 'create', 'recreate', 'update', 'stop', 'start', 'resume', 'load'] as const
  if (mayBoot.some((action) => open.has(action))) return false
  switch (condition) {
    case 'started':
      return true
    case 'ssh':
      return isGuestReady || !(open.has('wait') || open.has('configure') || open.has('provision') || open.has('check-health'))
    case 'provisioned':
      return !(open.has('wait') || open.has('configure') || open.has('provision'))
    case 'healthy':
      return rest.length === 0
  }
}
