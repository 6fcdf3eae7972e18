import {basename} from 'node:path'

import {importCompose, parseYaml} from './compose/index.ts'
import {type Draft, ImportError} from './draft.ts'
import {importDomain} from './libvirt/index.ts'
import {importVagrantfile} from './vagrant/index.ts'
import {importVmsJson, isVmsJson} from './vms-json.ts'

export {type Draft, ImportError} from './draft.ts'
export {type KdlNode, node, printKdl} from './kdl.ts'
export {importDomain} from './libvirt/index.ts'

/** Whether a word of the command line is a file to read, by its name, and not the name of a libvirt domain. */
export const isForeignFile = (path: string): boolean =>
  /\/|\.(?:ya?ml|xml|json|toml|kdl|hcl|tf|rb)$|^(?:Vagrantfile\b|Dockerfile$)/i.test(path)

/** Files that are none of those that are read, by their names. */
const others: readonly (readonly [RegExp, string])[] = [
  [/\.toml$/i, 'this is a TOML file: import reads holos.yaml, qemu-compose.yaml, a Vagrantfile, the XML of a libvirt domain, and vms.json'],
  [/\.kdl$/i, 'this is a KDL file: a VMFile needs no import'],
  [/\.(?:hcl|tf)$/i, 'this is a file of Terraform or Packer, which import does not read'],
  [/^Dockerfile$|\.Dockerfile$/, 'this is a Dockerfile: name it in a vm, `dockerfile "FILE"`'],
]

/**
 * Reads a file of another program, which its name or its content tells.
 * @param project the name of the project of a file that has none
 * @throws ImportError when it is not what it seems to be
 */
export const importFile = (path: string, given: string, project: string): Draft => {
  const text = given.replace(/^\uFEFF/, '')
  const name = basename(path)
  const other = others.find(([pattern]) => pattern.test(name))
  if (other) throw new ImportError(other[1])
  if (/^Vagrantfile/i.test(name) || /^\s*Vagrant(?:::Config)?\.(?:configure|run)\b/m.test(text)) return importVagrantfile(text, {project})
  if (/\.xml$/i.test(name) || /^\s*</.test(text)) return importDomain(text)
  const document = parseYaml(text)
  if (isVmsJson(document)) return importVmsJson(document)
  if (name === 'vms.json')
    throw new ImportError('this is no vms.json of the older vmctl: it should hold names, each with the handle of a VM')
  return importCompose(document, {path, project})
}
