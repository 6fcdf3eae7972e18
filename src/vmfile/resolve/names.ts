import {createHash} from 'node:crypto'

import {instanceName, isDnsLabel, isVmName} from '../../model/names.ts'
import type {Located} from '../grammar/shapes.ts'
import type {Context} from './context.ts'

/** What the names of networks and volumes begin with: the project, or else something that stands for the VMFile. */
export const scopeOf = (project: string | undefined, path: string): string =>
  project ?? `f${createHash('sha256').update(path).digest('hex').slice(0, 8)}`

/** Store names of a service, by replica. */
export const instancesOf = (service: string, replicas: number, project: string | undefined): readonly string[] =>
  Array.from({length: replicas}, (_, replica) => instanceName({project, service, replica: replicas > 1 ? replica : undefined}))

/** What decides how strict the name of a VM has to be. */
export interface NamedService {
  readonly name: Located<string>
  readonly instances: readonly string[]
  /** Why the name becomes part of a host name that others resolve, when it does. */
  readonly hostReason: string | undefined
}

/** Checks names against each other, and against what they are used for. */
export const checkNames = (services: readonly NamedService[], {report}: Context): void => {
  const seen = new Map<string, {readonly start: number; readonly service: string}>()
  for (const {name, instances, hostReason} of services) {
    const own = seen.get(name.value)
    if (own?.service === name.value) {
      report.error(name, `there are two VMs named "${name.value}"`, `the first is in line ${report.lineOf(own.start)}; choose another name`)
      continue
    }
    if (hostReason !== undefined && !isDnsLabel(name.value)) {
      report.error(
        name,
        `"${name.value}" cannot be part of a host name`,
        `${hostReason}: use letters, digits and inner dashes, 63 characters at most`,
      )
    }
    const long = instances.find((instance) => !isVmName(instance))
    if (long !== undefined)
      report.error(name, `the name "${long}" is too long`, 'with the project and the replica it has at most 63 characters')
    for (const [replica, short] of shortNames(name.value, instances.length).entries()) {
      const other = seen.get(short)
      if (other) {
        const what = instances.length > 1 ? `replica ${replica} of "${name.value}"` : `VM "${name.value}"`
        const whose = other.service === short ? `VM "${short}"` : `a replica of "${other.service}"`
        report.error(name, `${what} has the name of ${whose}`, `it is in line ${report.lineOf(other.start)}; choose another name`)
      } else {
        seen.set(short, {start: name.start, service: name.value})
      }
    }
    if (!seen.has(name.value)) seen.set(name.value, {start: name.start, service: name.value})
  }
}

/** The names of the instances without the project. */
const shortNames = (service: string, replicas: number): readonly string[] => instancesOf(service, replicas, undefined)
