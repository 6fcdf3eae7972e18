import {CORE_SCHEMA, load, mergeTag} from 'js-yaml'

import {messageOf} from '../../model/errors.ts'
import {type Draft, distinctNames, importedLabel, importedName, ImportError, mostOfProject} from '../draft.ts'
import {type KdlNode, node, withProps} from '../kdl.ts'
import {collectWarnings, type Warnings} from '../warnings.ts'
import {dockerRefusal, isDockerCompose} from './docker.ts'
import {type Names, namesOf} from './names.ts'
import {networkNodes} from './network.ts'
import {type Fields, fieldsOf, leftOver, readerOf, take, textOf} from './reader.ts'
import {importedSize} from './sizes.ts'
import {isEmpty, vmNode} from './vm.ts'

interface Source {
  /** As it was named: a docker-compose.yaml is known by its name, too. */
  readonly path: string
  /** The name of the project when the file has none. */
  readonly project?: string
}

/**
 * Reads a holos.yaml (`services`) or a qemu-compose.yaml (`vms`): their documentation, and section 1.6 of the language.
 * @throws ImportError when it is neither
 */
export const importCompose = (root: Fields, {path, project}: Source): Draft => {
  const isHolos = knownForm(path, root) === 'holos'
  const warnings = collectWarnings()
  const reader = readerOf('', root, warnings)
  const entries = fieldsOf(take(reader, isHolos ? 'services' : 'vms'))
  take(reader, 'version')
  // Fields of this form are for YAML's anchors.
  for (const key of Object.keys(root)) if (key.startsWith('x-')) take(reader, key)
  const name = projectName(textOf(take(reader, 'name')) ?? project)
  const declared = fieldsOf(take(reader, 'volumes'))
  const networks = isHolos ? {} : fieldsOf(take(reader, 'networks'))
  const vms = namesOf(Object.keys(entries), 'vm', warnings)
  const around = {
    isHolos,
    vms,
    networks: namesOf(Object.keys(networks), 'net', warnings),
    volumes: volumeNames(declared, warnings),
    fixed: fixedNetworks(networks),
  }
  const nodes = [
    ...(name === undefined ? [] : [node('project', name)]),
    // All services of holos see each other; qemu-compose declares its networks.
    ...(isHolos ? [node('network', 'default')] : networkNodes(networks, around.networks, warnings)),
    ...Object.entries(declared).map(([volume, settings]) => volumeNode(volume, settings, {warnings, isHolos, names: around.volumes})),
    ...Object.entries(entries).map(([vm, settings]) => vmNode(vms.get(vm) ?? vm, readerOf(vm, settings, warnings), around)),
  ]
  leftOver(reader)
  return {nodes, warnings: warnings.list(), ...(isHolos && {notes: ['`holos down` is `vmctl down --destroy`; `vmctl down` keeps the VMs']})}
}

const projectName = (name: string | undefined): string | undefined => importedLabel(name ?? '', mostOfProject)?.toLowerCase()

const knownForm = (path: string, root: Fields): 'holos' | 'qemu-compose' => {
  if (isDockerCompose(path, root)) throw new ImportError(dockerRefusal)
  if (!isEmpty(root.services)) return 'holos'
  if (isEmpty(root.vms)) throw new ImportError(refusal(root))
  return 'qemu-compose'
}

const fixedNetworks = (networks: Fields): ReadonlySet<string> =>
  new Set(Object.keys(networks).filter((name) => (textOf(fieldsOf(networks[name]).subnet) ?? 'auto') !== 'auto'))

/** Files of other programs that are likely to be given here, by what stands in them. */
const refusal = (root: Fields): string => {
  const keys = Object.keys(root)
  const has = (...wanted: readonly string[]): boolean => wanted.every((key) => keys.includes(key))
  const either = 'holos.yaml (services), qemu-compose.yaml (vms), a Vagrantfile, or the XML of a libvirt domain'
  if (has('apiVersion', 'kind')) return `this is a Kubernetes manifest: import reads ${either}`
  if (has('jobs') || has('stages')) return `this is a CI pipeline: import reads ${either}`
  if (has('images') && (has('mounts') || has('vmType') || has('arch')))
    return `this is a file of Lima, which import does not read: it reads ${either}`
  const some = keys
    .slice(0, 5)
    .map((key) => JSON.stringify(key.slice(0, 40)))
    .join(', ')
  return `this is neither a holos.yaml (services) nor a qemu-compose.yaml (vms)${some === '' ? '' : `: it has ${some}`}`
}

/** YAML 1.2, with the `<<` that Compose files repeat things by. */
const schema = CORE_SCHEMA.withTags(mergeTag)

/**
 * Reads YAML, and with it JSON.
 * @throws ImportError when it is none, or holds no names with values
 */
export const parseYaml = (text: string): Fields => {
  if (/^#cloud-config\b/.test(text))
    throw new ImportError('this is user-data of cloud-init: name it in a vm, `cloud-init { user-data "FILE"; }`')
  let value: unknown
  try {
    value = load(text, {maxAliases: 1000, schema})
  } catch (error) {
    throw new ImportError(`this is not YAML: ${messageOf(error).split('\n')[0]}`, {cause: error})
  }
  if (Array.isArray(value))
    throw new ImportError('this is a list (an Ansible playbook?): holos.yaml has services, and qemu-compose.yaml has vms')
  if (typeof value !== 'object' || value === null)
    throw new ImportError('this is neither a holos.yaml (services) nor a qemu-compose.yaml (vms): it holds no names with values')
  return fieldsOf(value)
}

const volumeNames = (declared: Fields, warnings: Warnings): Names => {
  const distinct = distinctNames()
  return new Map(
    Object.keys(declared).map((name) => {
      const clean = distinct(importedName(name) ?? 'volume')
      if (clean !== name) warnings.about(`volume ${name}`, `it is named ${clean}`)
      return [name, clean]
    }),
  )
}

interface Volumes {
  readonly warnings: Warnings
  readonly isHolos: boolean
  readonly names: Names
}

const volumeNode = (name: string, settings: unknown, {warnings, isHolos, names}: Volumes): KdlNode => {
  const reader = readerOf(`volume ${name}`, settings, warnings)
  const size = importedSize(reader, take(reader, 'size'), {isHolos, key: 'size'}) ?? '10G'
  leftOver(reader)
  return withProps(node('volume', names.get(name) ?? name), {size})
}
