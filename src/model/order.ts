/** What another VM must have reached before this one starts. */
export const dependencyConditions = ['started', 'ssh', 'healthy', 'provisioned'] as const

export type DependencyCondition = (typeof dependencyConditions)[number]

export interface Dependency {
  /** Name of the VM that is waited for, as in its own spec; a service with replicas stands here once for each. */
  readonly vm: string
  readonly condition: DependencyCondition
}
