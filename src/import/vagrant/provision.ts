import {group, hostPath, type KdlNode, node, withProps} from '../kdl.ts'
import {splitShellWords} from '../shell-words.ts'
import {fieldsOf, flagOf, homeOf, type Machine, type Step} from './machine.ts'
import {isUnknown, type Setting, toText, type Value} from './evaluate/values.ts'

/** `config.vm.provision`. One of a name that there is already changes that one, and takes its place at the end. */
export const readProvision = (machine: Machine, setting: Setting): void => {
  const {shared} = machine
  const {line, args, options} = setting
  const first = toText(args[0])
  const fields = fieldsOf(setting)
  const type = toText(fields.get('type'))
  if (first === undefined || options.has('**') || isUnknown(fields.get('type'))) {
    shared.warnings.atLine(line, 'this step is left out: its kind or its options are made when the file runs')
    return
  }
  const before = machine.steps.findIndex(({id}) => id === first)
  const [old] = before < 0 ? [] : machine.steps.splice(before, 1)
  if (old) machine.steps.push({...old, type: type ?? old.type, fields: new Map([...old.fields, ...fields]), line})
  else if (type === undefined) machine.steps.push({id: undefined, type: first, fields, line})
  else machine.steps.push({id: first, type, fields: new Map([['name', first], ...fields]), line})
}

const instead: Readonly<Record<string, string>> = {
  ansible: 'run ansible-playbook on the host, with `vmctl ssh-config` for its inventory',
  ansible_local: 'install Ansible by `provision "shell"`, and run ansible-playbook there',
  docker: 'install Docker by `provision "shell"`, and run the containers there',
  docker_compose: 'install Docker by `provision "shell"`, and run docker compose there',
  podman: 'install Podman by `provision "shell"`, and run the containers there',
  puppet: 'install Puppet by `provision "shell"`, and run puppet apply there',
  salt: 'install Salt by `provision "shell"`, and run salt-call there',
}

/** The nodes of a step: none when it is left out, two when it ends with a restart. */
export const stepNodes = (machine: Machine, step: Step): readonly KdlNode[] => {
  const {warnings} = machine.shared
  const {type, fields, line} = step
  if (type !== 'shell' && type !== 'file') {
    warnings.atLine(line, `the provisioner ${type} is left out: ${instead[type] ?? 'do what it does by `provision "shell"`'}`)
    return []
  }
  const run = fields.has('run') ? toText(fields.get('run')) : 'once'
  if (run === 'never') {
    warnings.atLine(line, 'a step with run: "never" is left out: it runs only by its name in Vagrant; run it by `vmctl exec`')
    return []
  }
  if (run !== 'once' && run !== 'always') {
    warnings.atLine(line, 'this step is left out: when it runs is not known')
    return []
  }
  const props = run === 'once' ? {run} : {}
  return type === 'shell' ? shellNodes(machine, step, props) : fileNodes(machine, step, props)
}

const shellFields = new Set([
  'type',
  'inline',
  'path',
  'args',
  'env',
  'name',
  'privileged',
  'run',
  'reboot',
  'sensitive',
  'keep_color',
  'preserve_order',
])

const shellNodes = (machine: Machine, step: Step, props: Readonly<Record<string, string>>): readonly KdlNode[] => {
  const {fields, line} = step
  const {warnings, leftOut} = machine.shared
  for (const name of fields.keys()) if (!shellFields.has(name)) leftOut.add('options of shell provisioners are left out', name, line)
  const restart = restartNodes(machine, step, props)
  const what = scriptOf(machine, step)
  if (!what) return fields.has('inline') || fields.has('path') ? [] : restart
  const args = argumentsOf(fields.get('args'))
  if (!args) {
    warnings.atLine(line, 'this step is left out: its arguments are made when the file runs, or by a shell of the host')
    return []
  }
  const children = [...what, args.length > 0 ? node('args', ...args) : undefined, environmentNode(machine, step)]
  return [named(step, withProps(group('provision', ['shell'], children), {...props, privileged: privilegeOf(machine, step)})), ...restart]
}

/** The name of a step stands above it. */
const named = ({fields}: Step, made: KdlNode): KdlNode => {
  const comment = toText(fields.get('name'))
  return comment === undefined ? made : {...made, comment}
}

const restartNodes = ({shared}: Machine, {fields, line}: Step, props: Readonly<Record<string, string>>): readonly KdlNode[] => {
  const restarts = flagOf(fields.get('reboot'))
  if (restarts === undefined)
    shared.warnings.atLine(line, 'whether the guest restarts behind this step is not known: add `provision "reboot"` if so')
  return restarts === true ? [withProps(node('provision', 'reboot'), props)] : []
}

/** Steps of Vagrant run as root unless they say otherwise. */
const privilegeOf = ({shared}: Machine, {fields, line}: Step): true | undefined => {
  const isPrivileged = fields.has('privileged') ? flagOf(fields.get('privileged')) : true
  if (isPrivileged === undefined) shared.warnings.atLine(line, 'this step runs as root: whether it should is not known')
  return isPrivileged === false ? undefined : true
}

const scriptOf = ({shared}: Machine, {fields, line}: Step): readonly KdlNode[] | undefined => {
  const [inline, path] = [fields.get('inline'), fields.get('path')]
  const text = toText(inline ?? path)
  const leave = (why: string): undefined => {
    shared.warnings.atLine(line, `this step is left out: ${why}`)
    return undefined
  }
  if (inline === undefined && path === undefined)
    return flagOf(fields.get('reboot')) === true ? undefined : leave('it has neither inline nor path')
  if (text === undefined || text.trim() === '')
    return leave('its script is made when the file runs; write it into the VMFile, or into a file of its own')
  if (inline === undefined) {
    if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text))
      return leave('its script is at a URL; download it, look at it, and name the file: `script "FILE"`')
    return [node('script', hostPath(text))]
  }
  // Vagrant runs the text as a program of its own, so its first line counts.
  const interpreter = /^#!\s*(\S.*)/.exec(text)?.[1]?.trim()
  return [node('inline', text), ...(interpreter === undefined ? [] : [node('interpreter', interpreter)])]
}

/** A text is split as a shell does, a list stays as it is; undefined when one of them is not known. */
const argumentsOf = (value: Value | undefined): readonly string[] | undefined => {
  if (value === undefined || value === null) return []
  if (!Array.isArray(value)) {
    const text = toText(value)
    return text === undefined ? undefined : splitShellWords(text)
  }
  const texts = value.map(toText)
  return texts.some((text) => text === undefined) ? undefined : texts.map((text) => text ?? '')
}

const environmentNode = ({shared}: Machine, {fields, line}: Step): KdlNode | undefined => {
  const value = fields.get('env')
  if (value === undefined || value === null) return undefined
  if (!(value instanceof Map)) {
    shared.warnings.atLine(line, 'the environment of this step is left out: it is made when the file runs; write `env NAME="…"`')
    return undefined
  }
  const pairs = [...value].flatMap(([key, given]) => {
    const [name, text] = [toText(key) ?? '', toText(given)]
    if (/^[A-Za-z_]\w*$/.test(name) && text !== undefined) return [node(name, text)]
    shared.warnings.atLine(
      line,
      `the variable ${name} of this step is left out: ${text === undefined ? 'its value is made when the file runs' : 'that is no name of a variable'}`,
    )
    return []
  })
  const isSecret = flagOf(fields.get('sensitive')) !== false
  return pairs.length === 0 ? undefined : group(isSecret ? 'secret-env' : 'env', [], pairs)
}

const fileNodes = (machine: Machine, step: Step, props: Readonly<Record<string, string>>): readonly KdlNode[] => {
  const {fields, line} = step
  const {warnings, leftOut} = machine.shared
  const [source, destination] = [toText(fields.get('source')), toText(fields.get('destination'))]
  if (source === undefined || destination === undefined || source === '' || destination === '') {
    warnings.atLine(line, 'this file is left out: where it is, or where it goes, is not known; write `provision "file"`')
    return []
  }
  for (const name of fields.keys())
    if (!['type', 'source', 'destination', 'run', 'name', 'preserve_order'].includes(name))
      leftOut.add('options of file provisioners are left out', name, line)
  const home = homeOf(machine.user)
  const inHome = destination.replace(/^(?:~|\$HOME)(?=\/|$)/, home)
  const place = inHome.startsWith('/') ? inHome : `${home}/${inHome}`
  return [named(step, withProps(group('provision', ['file'], [node('source', hostPath(source)), node('destination', place)]), props))]
}
