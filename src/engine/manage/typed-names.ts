import {listVms} from '../../store/store.ts'
import type {Engine} from '../engine.ts'
import {homesDirectory, listHomeNames} from '../homes.ts'
import {discoverVmfile} from '../../vmfile/index.ts'
import {readVmfile, type Vmfile} from '../load.ts'
import {searchCatalogue} from './catalogue.ts'
import {cachedImages} from './images.ts'
import {ofVmfile} from '../owner.ts'
import {knownNames} from '../plan/names.ts'
import {listNetworks} from '../resources/network-list.ts'
import {volumes} from '../resources/volumes.ts'

/** What there are names for on a command line. */
export type Named = 'vm' | 'volume' | 'network' | 'image' | 'cached-image' | 'home'

/** The names of things, as a person would type them here. What cannot be read has none. */
export const typedNames = async (
  engine: Engine,
  of: Named,
  place: {readonly file?: string | undefined; readonly directory: string},
): Promise<readonly string[]> => {
  switch (of) {
    case 'vm':
      return vmNames(engine, place)
    case 'volume':
      return (await volumes(engine)).map(({id}) => id)
    case 'network':
      return (await listNetworks(engine)).networks.map(({id}) => id)
    case 'image':
      return (await searchCatalogue(engine)).map(({name}) => name)
    case 'home':
      return listHomeNames(homesDirectory(engine.env))
    case 'cached-image':
      return (await cachedImages(engine)).map(({name}) => name)
  }
}

/** Short names of the VMFile here, and full ones of all other VMs. */
const vmNames = async (
  engine: Engine,
  {file, directory}: {readonly file?: string | undefined; readonly directory: string},
): Promise<readonly string[]> => {
  const [vms, vmfile] = await Promise.all([listVms(engine.store), vmfileAt(engine, file, directory)])
  if (!vmfile) return vms.map(({name}) => name)
  const here = new Set((await ofVmfile(vms, vmfile.path)).map(({name}) => name))
  const defined = new Set(vmfile.vms.map(({name}) => name))
  return [...knownNames(vmfile.vms), ...vms.map(({name}) => name).filter((name) => !here.has(name) || !defined.has(name))]
}

const vmfileAt = async (engine: Engine, file: string | undefined, directory: string): Promise<Vmfile | undefined> => {
  try {
    return await readVmfile(engine, discoverVmfile(file, directory, engine.env), {toleratesMissing: true})
  } catch {
    return undefined
  }
}
