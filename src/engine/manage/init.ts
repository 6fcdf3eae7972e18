import {writeFile} from 'node:fs/promises'
import {basename, join} from 'node:path'

import {ioError} from '../../host/files.ts'
import {node, printKdl} from '../../import/index.ts'
import {systemCode, VmctlError} from '../../model/errors.ts'
import {listVmNames} from '../../store/store.ts'
import {defaultName, parseVmfile} from '../../vmfile/index.ts'
import type {Engine} from '../engine.ts'
import {imageNamed} from '../make/spec.ts'
import {neighbourOf} from '../neighbours.ts'

/** Small, and its `latest` is kept for years. */
const usualImage = 'debian:12'

export interface InitResult {
  /** Of the VMFile. */
  readonly path: string
  readonly vm: string
  /** As the VMFile names it. */
  readonly image: string
}

/**
 * Writes a VMFile for one VM into a directory, with what else it might say as comments.
 * @param image a path, a URL or an alias; Debian 12 when absent
 * @throws VmctlError `vmctl::vmfile::exists` when there is one, or a file that one is made of while no image is named;
 *   `vmctl::image::not_found`, or `vmctl::vmfile::validation` for an image that a VMFile cannot name. Nothing is written then.
 */
export const initVmfile = async (engine: Engine, image: string | undefined, directory: string): Promise<InitResult> => {
  refuseNeighbour(directory, image)
  const path = join(directory, defaultName)
  const name = image ?? usualImage
  const {kind, source} = await imageNamed(name, directory)
  const vm = unusedName(nameOf(directory), await listVmNames(engine.store))
  const text = template(vm, printKdl([node(kind === 'url' && source === name ? 'image-url' : 'image', name)]).trimEnd())
  const imageSchemes = engine.images.sources.flatMap((one) => one.schemes)
  await parseVmfile(text, {path, directory, file: defaultName, imageSchemes})
  await writeNew(path, text)
  return {path, vm, image: name}
}

const refuseNeighbour = (directory: string, image: string | undefined): void => {
  const found = neighbourOf(directory)
  if (!found || found.use === 'other' || (found.use === 'import' && image !== undefined)) return
  throw new VmctlError('vmctl::vmfile::exists', `${join(directory, found.name)} exists, and nothing is written beside it.`, {
    help: found.use === 'import' ? `${found.advice} \`vmctl init IMAGE\` begins one anew.` : found.advice,
  })
}

/** Never in the place of anything, not even of a link that leads nowhere. */
const writeNew = async (path: string, text: string): Promise<void> => {
  try {
    await writeFile(path, text, {flag: 'wx', mode: 0o644})
  } catch (error) {
    throw systemCode(error) === 'EEXIST'
      ? new VmctlError('vmctl::vmfile::exists', `${path} exists already.`)
      : ioError('write', path, error)
  }
}

/** The name of the directory as a host name can have it, which the guest has too. */
const nameOf = (directory: string): string =>
  basename(directory)
    .normalize('NFKD')
    .replaceAll(/\p{Mark}/gu, '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replace(/^-/, '')
    .slice(0, 56)
    .replace(/-$/, '') || 'vm'

/** A VM of that name may have been made from another VMFile. */
const unusedName = (name: string, taken: readonly string[]): string => {
  let found = name
  for (let count = 2; taken.includes(found); count++) found = `${name}-${count}`
  return found
}

const template = (
  vm: string,
  image: string,
): string => `// \`vmctl up\` makes and starts what stands here, \`vmctl plan\` says beforehand what that takes.
// Take the // away from what you need.
vm "${vm}" {
    ${image}
    // vcpus 2
    // memory "2G"
    // disk "20G"

    // The guest gets a user with sudo, as whom \`vmctl ssh\` logs in.
    cloud-init {
        // packages "git" "curl"
    }

    // port "8080:80"                 // a host port, forwarded to a guest port
    // share "." "/srv/work"          // a folder of the host, in the guest
    // provision "shell" { inline "uname -a"; }
}
`
