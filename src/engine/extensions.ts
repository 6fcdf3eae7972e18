import type {Hypervisor} from '../hypervisor/hypervisor.ts'
import type {ImageSource} from '../image/image-source.ts'
import type {Publisher} from '../model/catalogue.ts'
import {type Failure, VmctlError} from '../model/errors.ts'
import type {Provisioner} from '../provision/provisioner.ts'

/** What a plugin brings. The built-in parts are registered in the same way. */
export interface Extension {
  readonly hypervisors?: readonly Hypervisor[]
  readonly imageSources?: readonly ImageSource[]
  readonly provisioners?: readonly Provisioner[]
  /** Images that have a name; in place of those of vmctl with the same publisher. */
  readonly publishers?: readonly Publisher[]
  /** What its parts may fail with besides the codes of vmctl. */
  readonly failures?: readonly Failure[]
}

/** What a plugin gets from the vmctl that loads it, so that it needs no copy of its own. */
export interface PluginTools {
  readonly VmctlError: typeof VmctlError
}

/** The hook of a plugin. */
export type Extend = (tools: PluginTools) => Extension | Promise<Extension>

export interface Registry {
  readonly hypervisors: ReadonlyMap<string, Hypervisor>
  readonly imageSources: readonly ImageSource[]
  readonly provisioners: ReadonlyMap<string, Provisioner>
  readonly publishers: readonly Publisher[]
}

/** Collects extensions by name. Two parts of one name are an error: nobody could say which one a VMFile means. */
export const registerExtensions = (extensions: readonly Extension[]): Registry => {
  const failures = extensions.flatMap((extension) => extension.failures ?? [])
  for (const failure of failures) requireGood(failure)
  collect(
    'failure',
    failures.map((failure) => [failure.code, failure] as const),
  )
  const imageSources = extensions.flatMap((extension) => extension.imageSources ?? [])
  collect(
    'image source',
    imageSources.flatMap((source) => source.schemes.map((scheme) => [scheme, source] as const)),
  )
  return {
    hypervisors: collect(
      'hypervisor',
      extensions.flatMap((extension) => extension.hypervisors ?? []).map((part) => [part.name, part] as const),
    ),
    imageSources,
    publishers: collectPublishers(extensions),
    provisioners: collect(
      'provisioner',
      extensions.flatMap((extension) => extension.provisioners ?? []).map((part) => [part.type, part] as const),
    ),
  }
}

const collectPublishers = (extensions: readonly Extension[]): readonly Publisher[] => {
  const publishers = extensions.flatMap((extension) => extension.publishers ?? [])
  return [
    ...collect(
      'publisher',
      publishers.map((publisher) => [publisher.name, publisher] as const),
    ).values(),
  ]
}

const codeForm = /^[a-z][a-z0-9-]*(?:::[a-z][a-z0-9_-]*){2}$/

const statuses: readonly unknown[] = [2, 3, 4, 5, 6, 7] satisfies readonly Failure['exit'][]

/** A plugin may be written without types. */
const requireGood = ({code, exit, help}: Failure): void => {
  const refuse = (why: string): never => {
    throw new VmctlError('vmctl::plugin::invalid', `A plugin registers the failure ${JSON.stringify(code)}: ${why}.`)
  }
  if (typeof code !== 'string' || !codeForm.test(code)) refuse('a code is three words, as in my-plugin::disk::full')
  if (code.startsWith('vmctl::')) refuse('vmctl:: is for the failures of vmctl itself')
  if (!statuses.includes(exit)) refuse(`its exit status is ${JSON.stringify(exit)}, but 2 to 7 can be had`)
  if (typeof help !== 'function' && (typeof help !== 'string' || help === '')) refuse('it has no advice')
}

const collect = <Part>(kind: string, parts: readonly (readonly [string, Part])[]): Map<string, Part> => {
  const found = new Map<string, Part>()
  for (const [name, part] of parts) {
    if (found.has(name)) throw new VmctlError('vmctl::plugin::invalid', `Two parts register the ${kind} ${JSON.stringify(name)}.`)
    found.set(name, part)
  }
  return found
}
