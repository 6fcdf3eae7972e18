import {basename} from 'node:path'

import {importCompose} from './compose.ts'
import type {Draft} from './draft.ts'
import {importDomain} from './libvirt.ts'
import {importVagrantfile} from './vagrant.ts'

export {type Draft, ImportError} from './draft.ts'
export {printKdl} from './kdl.ts'
export {importDomain} from './libvirt.ts'

/** Whether a word of the command line is a file to read, by its name, and not the name of a libvirt domain. */
export const isForeignFile = (path: string): boolean => /\.(?:ya?ml|xml)$|(?:^|\/)Vagrantfile$/i.test(path)

/**
 * Reads a file of another program, which its name tells.
 * @param project the name of the project of a file that has none
 * @throws ImportError when it is not what it seems to be
 */
export const importFile = (path: string, text: string, project: string): Draft => {
  if (/\.xml$/i.test(path)) return importDomain(text)
  return basename(path) === 'Vagrantfile' ? importVagrantfile(text) : importCompose(text, {project})
}
