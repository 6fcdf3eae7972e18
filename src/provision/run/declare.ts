import {createHash} from 'node:crypto'

import {VmctlError} from '../../model/errors.ts'
import {stripControls} from '../../model/strip.ts'
import type {ProvisionStep, RunMode} from '../../model/steps.ts'
import type {Provisioner} from '../provisioner.ts'

/** What a decision about a step needs to know of it. */
export interface DeclaredStep {
  readonly type: string
  /** Short description, controls stripped. */
  readonly title: string
  /** When it runs again. */
  readonly run: RunMode
  /** Whether it runs only together with a step before it. */
  readonly follows: boolean
  /** Whether the guest can be asked if the result of the step is still there. */
  readonly isChecked: boolean
  /** What the step depends on, hashed, by the words in which a change of it is told. */
  readonly facts: Readonly<Record<string, string>>
  /** Of the facts of the step and of the steps that it rests on. */
  readonly hash: string
  /** Whether the VMFile says that its result is kept in a layer, or why none may hold it, in words. */
  readonly kept?: {readonly asked: true} | {readonly against: string}
}

/** A declared step together with the provisioner that understands it and with the settings as that one parsed them. */
export interface PreparedStep extends DeclaredStep {
  readonly provisioner: Provisioner
  readonly settings: unknown
  /** The `env` of the VM. */
  readonly env: Readonly<Record<string, string>>
}

export interface PrepareOptions {
  /** Who logs in to the guest; another user makes another step. */
  readonly user?: string
  /** Paths below it are told relative to it. */
  readonly directory?: string
  /** The `env` of the VM. */
  readonly env?: Readonly<Record<string, string>> | undefined
}

/** Finds the provisioner of every step and computes the hashes by which the journal knows them. Reads local files. */
export const prepareSteps = async (
  steps: readonly ProvisionStep[],
  provisioners: ReadonlyMap<string, Provisioner>,
  {user, directory, env = {}}: PrepareOptions = {},
): Promise<PreparedStep[]> => {
  const parsed = steps.map((step, index) => {
    const provisioner = provisioners.get(step.type)
    if (!provisioner) {
      throw new VmctlError(
        'vmctl::plugin::invalid',
        `Step ${index + 1} has the type ${JSON.stringify(step.type)}, which nothing provides.`,
        {
          help: 'Install the plugin that brings this provisioner: `vmctl plugins`.',
        },
      )
    }
    const settings = provisioner.parse ? provisioner.parse({...step.settings}) : step.settings
    return {
      type: step.type,
      provisioner,
      settings,
      env,
      title: stripControls(step.title ?? provisioner.describe(settings)),
      run: step.run ?? provisioner.runs ?? 'always',
      follows: provisioner.follows === true,
      isChecked: provisioner.isIntact !== undefined,
      ...keptOf(
        step,
        provisioner.unkept ? provisioner.unkept(settings) : `nobody knows what a step of the type ${JSON.stringify(step.type)} makes`,
      ),
    }
  })
  const facts = await Promise.all(
    parsed.map(async ({provisioner, settings, follows}) => {
      const own = await provisioner.facts(settings, {env})
      return hashFacts(follows ? own : {...own, user}, directory)
    }),
  )
  let previous = ''
  return parsed.map((step, index) => {
    const known = facts[index] ?? {}
    const hash = digest([previous, step.type, known])
    // What is done once stays, whatever it is now, and so do the steps after it.
    if (step.run !== 'once' && !step.follows) previous = hash
    return {...step, facts: known, hash}
  })
}

const keptOf = ({cache, run}: ProvisionStep, against: string | undefined): Pick<DeclaredStep, 'kept'> => {
  if (cache === true) return {kept: {asked: true}}
  const why = cache === false ? 'it says `cache #false`' : run === 'always' ? 'it says `run "always"`' : against
  return why === undefined ? {} : {kept: {against: why}}
}

/** Only hashes are kept, because values may be secret. Names do not depend on where the project is. */
const hashFacts = (facts: Readonly<Record<string, unknown>>, directory: string | undefined): Record<string, string> => {
  const shorten = (name: string): string => stripControls(directory === undefined ? name : name.replaceAll(`${directory}/`, ''))
  const named = Object.entries(facts).flatMap(([name, value]) => (value === undefined ? [] : [[shorten(name), digest(value)] as const]))
  return Object.fromEntries(named.toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

export const digest = (value: unknown): string => createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 32)
