import {type Draft, distinctNames, importedLabel, ImportError, mostOfProject} from '../draft.ts'
import {node} from '../kdl.ts'
import {collectWarnings} from '../warnings.ts'
import {evaluateFile} from './evaluate/evaluate.ts'
import {ownFolder} from './folders.ts'
import {collectLeftOut, flagOf, type Machine, machineOf, type Shared} from './machine.ts'
import {networkNodes, openNetworks} from './networks.ts'
import {parseRuby} from './parse/parse.ts'
import {readSetting} from './settings.ts'
import {isUnknown, type Setting, toText} from './evaluate/values.ts'
import {machineNodes} from './vm-node.ts'

/** Most machines of one file; a subnet of 24 bits has no room for more. */
const mostMachines = 253

/**
 * Reads a Vagrantfile. It is a program in Ruby, which is parsed and gone through, but never run: what its values are is known as
 * far as they are in the file. Everything that depends on something else is left out and named.
 * @param project the name of the project
 * @throws ImportError when nothing of it is a setting of Vagrant, or its machines cannot be known
 */
export const importVagrantfile = (text: string, {project}: {readonly project?: string} = {}): Draft => {
  const warnings = collectWarnings()
  const {settings, lostMachines} = evaluateFile(parseRuby(text), warnings)
  const [said] = warnings.list()
  if (settings.length === 0)
    throw new ImportError(`nothing of this is a setting of Vagrant${said === undefined ? '' : ` that is understood; ${said}`}`)
  const machines = machinesOf(settings)
  const unnamed = settings.filter(({path, args}) => path === 'vm.define' && toText(args[0]) === undefined).map(({line}) => line)
  const lost = [...lostMachines, ...unnamed]
  refuseMachines(machines.size, lost)
  for (const line of lost)
    warnings.atLine(line, 'a machine that is defined here is lost: its name, or whether it is made, is not known; write a `vm` for it')
  const shared: Shared = {warnings, networks: openNetworks(), leftOut: collectLeftOut(warnings)}
  const common = settings.filter(({path}) => path !== 'vm.define')
  const named = distinctNames()
  const made = (machines.size === 0 ? [{name: 'default', own: [], define: undefined}] : [...machines.values()]).map(
    ({name, own, define}) => {
      const clean = named(importedLabel(name) ?? 'vm')
      if (clean !== name) warnings.about(name, `the machine is named ${clean}: a name has letters, digits and inner dashes`)
      return readMachine(machineOf(clean, shared), [...common, ...own], define)
    },
  )
  const taken = new Map<string, string>()
  const vms = made.map((machine) => machineNodes(machine, taken))
  shared.leftOut.flush()
  const projectName = project === undefined ? undefined : importedLabel(project, mostOfProject)?.toLowerCase()
  return {
    nodes: [
      ...(projectName === undefined ? [] : [node('project', projectName)]),
      ...networkNodes(shared.networks),
      ...vms.flatMap(({volumes}) => volumes),
      ...vms.map(({vm}) => vm),
    ],
    warnings: warnings.list(),
    notes: ['`vagrant reload` is `vmctl restart`; `vmctl reload` makes a new VM, with a new disk', '`vagrant halt` is `vmctl down`'],
  }
}

const refuseMachines = (count: number, [lost]: readonly number[]): void => {
  if (lost !== undefined && count === 0)
    throw new ImportError(`line ${lost}: its machines come from values that are not in the file; write a vm for each into a VMFile`)
  if (count > mostMachines) throw new ImportError(`it defines ${count} machines, more than the ${mostMachines} that can be imported`)
}

interface Defined {
  readonly name: string
  readonly own: readonly Setting[]
  readonly define: Setting | undefined
}

/** The machines, by name; settings of a name that comes again are added. */
const machinesOf = (settings: readonly Setting[]): ReadonlyMap<string, Defined> => {
  const machines = new Map<string, Defined>()
  for (const define of settings) {
    if (define.path !== 'vm.define') continue
    const name = toText(define.args[0])
    if (name === undefined) continue
    machines.set(name, {name, own: [...(machines.get(name)?.own ?? []), ...define.children], define})
  }
  return machines
}

const readMachine = (machine: Machine, settings: readonly Setting[], define: Setting | undefined): Machine => {
  machine.folders.set('/vagrant', ownFolder)
  if (define) readDefine(machine, define)
  for (const setting of settings) readSetting(machine, setting)
  return machine
}

const readDefine = (machine: Machine, {options, line}: Setting): void => {
  const {warnings, leftOut} = machine.shared
  for (const name of options.keys())
    if (!['autostart', 'primary'].includes(name)) leftOut.add('options of machines are left out', name, line)
  if (flagOf(options.get('primary')) === true) warnings.atLine(line, '`primary` is left out: name the machine where a command needs one')
  const autostart = options.get('autostart')
  if (autostart === undefined || autostart === true) return
  machine.autostart = false
  const what = isUnknown(autostart) ? 'whether it starts by itself is not known' : 'it starts only by its name in Vagrant'
  warnings.atLine(line, `${what}: \`vmctl up\` brings it up, too; choose machines with \`--name\``)
}
