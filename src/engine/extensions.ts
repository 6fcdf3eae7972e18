import type {Hypervisor} from '../hypervisor/hypervisor.ts'
import type {ImageSource} from '../image/image-source.ts'
import {VmctlError} from '../model/errors.ts'
import type {Provisioner} from '../provision/provisioner.ts'

/** What a plugin brings. The built-in parts are registered in the same way. */
export interface Extension {
  readonly hypervisors?: readonly Hypervisor[]
  readonly imageSources?: readonly ImageSource[]
  readonly provisioners?: readonly Provisioner[]
}

export interface Registry {
  readonly hypervisors: ReadonlyMap<string, Hypervisor>
  readonly imageSources: readonly ImageSource[]
  readonly provisioners: ReadonlyMap<string, Provisioner>
}

/** Collects extensions by name. Two parts of one name are an error: nobody could say which one a VMFile means. */
export const registerExtensions = (extensions: readonly Extension[]): Registry => {
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
    provisioners: collect(
      'provisioner',
      extensions.flatMap((extension) => extension.provisioners ?? []).map((part) => [part.type, part] as const),
    ),
  }
}

const collect = <Part>(kind: string, parts: readonly (readonly [string, Part])[]): Map<string, Part> => {
  const found = new Map<string, Part>()
  for (const [name, part] of parts) {
    if (found.has(name)) throw new VmctlError('vmctl::plugin::invalid', `Two parts register the ${kind} ${JSON.stringify(name)}.`)
    found.set(name, part)
  }
  return found
}
