import type {ProvisionStep} from './vm.ts'

/** What stands for a secret wherever one would be shown or kept. */
export const mask = '***'

/**
 * The steps without the values of `secretEnv`, for the record of a VM. A changed value is noticed all the same: the journal
 * has a hash of every step.
 */
export const withoutSecrets = (steps: readonly ProvisionStep[]): readonly ProvisionStep[] =>
  steps.map((step) => {
    const {secretEnv} = step.settings
    if (typeof secretEnv !== 'object' || secretEnv === null) return step
    const masked = Object.fromEntries(Object.keys(secretEnv).map((name) => [name, mask]))
    return {...step, settings: {...step.settings, secretEnv: masked}}
  })
