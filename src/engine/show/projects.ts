import type {ForwardedPort} from '../../model/port.ts'
import type {Vm, VmState} from '../../model/vm.ts'
import {listVms} from '../../store/store.ts'
import {type Engine, observe} from '../engine.ts'

/** The VMs that one VMFile has made; the `--json` shape of an element of `vmctl projects`. */
export interface ProjectSummary {
  /** Absent for a VMFile without a project. */
  readonly project?: string
  /** Absolute path, whether or not the file is still there. */
  readonly vmfile: string
  readonly vms: readonly {readonly name: string; readonly state: VmState | 'unknown'}[]
  readonly ports: readonly ForwardedPort[]
}

/** All VMFiles of which there are VMs, sorted by project and path. Asks no guest; VMs made by `vmctl create` and `run` have none. */
export const listProjects = async (engine: Engine): Promise<readonly ProjectSummary[]> => {
  const vms = (await listVms(engine.store)).filter((vm) => vm.vmfile !== undefined)
  const groups = Map.groupBy(vms, ({vmfile, spec}) => JSON.stringify([spec.project ?? '', vmfile]))
  const sorted = [...groups].toSorted(([left], [right]) => (left < right ? -1 : 1))
  return Promise.all(sorted.map(([, members]) => summarise(engine, members)))
}

const summarise = async (engine: Engine, members: readonly Vm[]): Promise<ProjectSummary> => {
  const looks = await Promise.all(
    members.map(async (vm) => {
      try {
        const {state, ports = []} = await observe(engine, vm)
        return {name: vm.name, state, ports: state === 'running' ? ports : []}
      } catch {
        engine.signal.throwIfAborted()
        return {name: vm.name, state: 'unknown' as const, ports: []}
      }
    }),
  )
  const [first] = members
  return {
    ...(first?.spec.project !== undefined && {project: first.spec.project}),
    vmfile: first?.vmfile ?? '',
    vms: looks.map(({name, state}) => ({name, state})),
    ports: looks.flatMap(({ports}) => ports),
  }
}
