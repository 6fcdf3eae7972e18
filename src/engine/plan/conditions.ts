import {VmctlError} from '../../model/errors.ts'
import {canLogIn} from '../../model/login.ts'
import type {VmSpec} from '../../model/vm.ts'
import {describeAwaited} from './order.ts'
import type {Place} from './vm-plan.ts'
import type {Desired, PlanOptions, PlanStep} from './vm-plan.ts'

/** `web waits for it`, `web and api wait for it`. */
const named = (vms: Iterable<string>, one: string, several: string): string => {
  const names = [...new Set(vms)]
  return `${names.join(' and ')}${names.length === 1 ? one : several}`
}

/** The first step that the others could notice says what it waits for. */
export const withOrder = (step: PlanStep, {after}: Place): PlanStep => {
  if (after.length === 0) return step
  if (step.action === 'start') return {...step, cause: `${step.cause}; once ${after.map(describeAwaited).join(' and ')}`}
  if (step.action !== 'stop' && step.action !== 'destroy') return step
  return {
    ...step,
    cause: `${step.cause}; after ${named(
      after.map(({vm}) => vm),
      ', which depends on it',
      ', which depend on it',
    )}`,
  }
}

const isChecked = ({healthcheck}: VmSpec, {ignoreHealth = false}: PlanOptions): boolean => healthcheck !== undefined && !ignoreHealth

/** What has to be seen of a VM before others that wait for it may go on. */
export const gates = (desired: Desired, steps: readonly PlanStep[], options: PlanOptions & {place: Place}): PlanStep[] => {
  const {verb, place} = options
  if (verb === 'down') return []
  const {spec} = desired
  const open = place.demands.filter(({condition}) => condition !== 'started')
  const causeOf = (demands: Place['demands']): string =>
    named(
      demands.map(({by}) => by),
      ' waits for it',
      ' wait for it',
    )
  if (open.length > 0 && !canLogIn(spec)) throw cannotBeAwaited(spec, open)
  const health = open.filter(({condition}) => condition === 'healthy')
  if (isChecked(spec, options) && (health.length > 0 || options.healthy)) {
    if (!canLogIn(spec)) throw cannotBeAwaited(spec, open)
    return [{action: 'check-health', cause: health.length > 0 ? causeOf(health) : 'asked for (--wait)'}]
  }
  const isSeen = steps.some(({action}) => action === 'wait' || action === 'configure' || action === 'provision')
  return open.length > 0 && !isSeen ? [{action: 'wait', cause: causeOf(open)}] : []
}

const cannotBeAwaited = ({name, network}: VmSpec, demands: Place['demands']): VmctlError => {
  const [demand] = demands
  const who = demand
    ? `${demand.by} waits until ${describeAwaited({vm: name, condition: demand.condition})}`
    : `The health of ${name} is asked for`
  return new VmctlError('vmctl::provision::no_ssh', `${who}, but vmctl cannot log in to ${name}.`, {
    help:
      network.type === 'none'
        ? `Give ${name} \`network "user"\`, or depend on it with \`condition="started"\`.`
        : `Add an \`ssh { user "…" }\` block to ${name}, or depend on it with \`condition="started"\`.`,
  })
}
