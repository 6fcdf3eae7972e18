import {readOwnIfExists, writeFileAtomic} from '../../host/files.ts'
import type {Health, HealthStatus} from '../../model/health.ts'
import {vmFiles} from '../../model/layout.ts'
import type {Vm} from '../../model/vm.ts'

/**
 * What was last seen of a VM's health since it was started. Needs no lock and touches no guest.
 * @returns undefined when nothing is known, also because the file is damaged or another VM's
 */
export const readHealth = async (vm: Pick<Vm, 'id' | 'directory'>): Promise<Health | undefined> => {
  try {
    const value: unknown = JSON.parse(readOwnIfExists(vmFiles(vm.directory).health) ?? 'null')
    return isHealth(value) && value.vm === vm.id ? value : undefined
  } catch {
    return undefined
  }
}

const statuses: readonly unknown[] = ['starting', 'healthy', 'unhealthy'] satisfies HealthStatus[]

const isHealth = (value: unknown): value is Health => {
  const health: Readonly<Record<string, unknown>> = typeof value === 'object' && value !== null ? {...value} : {}
  return (
    health.schema === 1 &&
    statuses.includes(health.status) &&
    typeof health.since === 'string' &&
    typeof health.failures === 'number' &&
    typeof health.checkedAt === 'string' &&
    typeof health.last === 'object' &&
    health.last !== null
  )
}

export const writeHealth = (vm: Pick<Vm, 'directory'>, health: Health): Promise<void> =>
  writeFileAtomic(vmFiles(vm.directory).health, `${JSON.stringify(health, undefined, 2)}\n`)
