import {hostPath, type KdlNode, node, withProps} from '../kdl.ts'
import {flagOf, type Folder, homeOf, type Machine, textOf} from './machine.ts'
import {isUnknown, type Setting, toText, type Value} from './evaluate/values.ts'

/** The folder that Vagrant mounts unasked. */
export const ownFolder: Folder = {source: '.', options: new Map(), line: 0}

/** `config.vm.synced_folder`; a later one for the same place changes an earlier one. */
export const readFolder = (machine: Machine, setting: Setting): void => {
  const {shared} = machine
  const {line, args, options} = setting
  if (options.has('**')) {
    shared.warnings.atLine(line, 'this folder is left out: its options are made when the file runs')
    return
  }
  const source = textOf(shared, args[0], {path: 'synced_folder', line})
  const given = textOf(shared, args[1], {path: 'synced_folder', line})
  if (given === undefined) return
  const target = given === '/' ? given : given.replace(/\/+$/, '')
  const isDisabled = flagOf(options.get('disabled'))
  if (isDisabled !== false) {
    if (isDisabled === undefined) shared.warnings.atLine(line, 'this folder is left out: whether it is switched on is not known')
    machine.folders.delete(target)
    return
  }
  if (source === undefined) return
  const before = machine.folders.get(target)
  machine.folders.set(target, {source, options: new Map([...(before?.options ?? []), ...options]), line})
}

const drivers: Readonly<Record<string, string>> = {virtiofs: 'virtiofs', '9p': '9p'}

/** What vmctl decides itself, and what says nothing. */
const known = new Set(['type', 'mount_options', 'disabled', 'id', 'create', 'automount', 'linux__nfs_options'])

export const shareNode = (machine: Machine, target: string, {source, options, line}: Folder): KdlNode | undefined => {
  const {warnings, leftOut} = machine.shared
  const place = placeIn(machine, target)
  if (place === undefined || place === '/') {
    warnings.atLine(line, `the folder ${source} is left out: its place in the guest is no absolute path, or all of the guest`)
    return undefined
  }
  const mountOptions = [...optionsOf(options.get('mount_options')), ...optionsOf(options.get('linux__nfs_options'))]
  if (mountOptions.includes(undefined)) {
    warnings.atLine(line, `the folder ${source} is left out: its mount options, which may make it read-only, are not known`)
    return undefined
  }
  nameOptions(machine, {source, options, line})
  for (const option of mountOptions)
    if (!['ro', 'rw', ''].includes(option ?? '')) leftOut.add('mount options of synced folders are left out', option ?? '', line)
  const type = toText(options.get('type'))
  return withProps(node('share', hostPath(source), place), {
    'read-only': mountOptions.includes('ro') ? true : undefined,
    driver: type === undefined ? undefined : drivers[type],
  })
}

const nameOptions = ({shared}: Machine, {options, line}: Folder): void => {
  for (const [name, value] of options) {
    const text = toText(value) ?? ''
    const shown = text === '' || text.length > 40 ? name : `${name} ${text}`
    if (!known.has(name))
      shared.leftOut.add('options of synced folders are left out (files keep the owner and the modes of the host)', shown, line)
  }
  const type = toText(options.get('type'))
  if (type === 'rsync')
    shared.warnings.atLine(line, 'a folder of type rsync was a copy: here it is shared, and what the guest writes is written on the host')
  else if (type !== undefined && drivers[type] === undefined)
    shared.warnings.atLine(line, `the type ${type} of a synced folder is left out: vmctl shares by virtiofs, or by 9p`)
}

const placeIn = ({user}: Machine, target: string): string | undefined => {
  if (target.startsWith('/')) return target
  return target.startsWith('~/') ? `${homeOf(user)}${target.slice(1)}` : undefined
}

const optionsOf = (value: Value | undefined): readonly (string | undefined)[] => {
  if (value === undefined || value === null) return []
  if (Array.isArray(value)) return value.flatMap(optionsOf)
  if (isUnknown(value)) return [undefined]
  return (toText(value) ?? '').split(',').map((option) => option.trim())
}
