import {group, hostPath, type KdlNode, node} from '../kdl.ts'
import type {Names} from './names.ts'
import {fieldsOf, flag, leftOver, listOf, readerOf, type Reader, simple, take, textOf} from './reader.ts'

/** A list of names, or names with a condition. */
export const dependencyNodes = (reader: Reader, names: Names): readonly KdlNode[] => {
  const value = take(reader, 'depends_on')
  const pairs =
    Array.isArray(value) || typeof value === 'string'
      ? listOf(value).map((one) => [textOf(one) ?? '', undefined] as const)
      : Object.entries(fieldsOf(value))
  return pairs.flatMap(([given, settings]) => {
    const name = names.get(given)
    if (name === undefined) {
      reader.warnings.about(reader.place, `depends_on ${given} is left out: the file has none of this name`)
      return []
    }
    const fields = readerOf(`${reader.place}: depends_on ${given}`, settings, reader.warnings)
    const wanted = textOf(take(fields, 'condition'))
    const condition = {service_started: 'started', service_healthy: 'healthy', started: 'started', healthy: 'healthy'}[wanted ?? '']
    if (wanted !== undefined && condition === undefined)
      fields.warnings.about(fields.place, `the condition ${wanted} is left out: vmctl has started, ssh, healthy and provisioned`)
    leftOver(fields)
    return [{...node('depends-on', name), ...(condition !== undefined && {props: {condition}})}]
  })
}

/** One that is switched off (`disable`, or the test NONE) is no node at all. */
export const healthNode = (value: unknown, parent: Reader): KdlNode | undefined => {
  if (value === undefined) return undefined
  const reader = readerOf(`${parent.place}: healthcheck`, value, parent.warnings)
  const test = take(reader, 'test')
  const words = listOf(test).map((word) => textOf(word) ?? '')
  if (flag(reader, 'disable') === true || words[0] === 'NONE') return undefined
  const command = words[0] === 'CMD-SHELL' ? words.slice(1, 2) : words[0] === 'CMD' ? words.slice(1) : words
  const children = ['interval', 'timeout', 'retries', 'start_period'].map((key) => simple(reader, key))
  leftOver(reader)
  if (command.length > 0 && command.every((word) => word !== '')) return group('healthcheck', [], [node('test', ...command), ...children])
  reader.warnings.about(reader.place, 'it is left out: it has no test')
  return undefined
}

/** Names that a VMFile does not take are left out; so is what has no value, which Compose takes from the host. */
export const environmentNode = (reader: Reader): KdlNode | undefined => {
  const value = take(reader, 'environment')
  const pairs: readonly (readonly [string, string | undefined])[] = Array.isArray(value)
    ? value.map((line) => {
        const [, name = '', text] = /^([^=]*)(?:=([^]*))?$/.exec(textOf(line) ?? '') ?? []
        return [name, text] as const
      })
    : Object.entries(fieldsOf(value)).map(([name, one]) => [name, textOf(one)] as const)
  const children = pairs.flatMap(([name, text]) => {
    const isName = /^[A-Za-z_]\w*$/.test(name)
    if (isName && text !== undefined) return [node(name, text)]
    const why = isName ? 'it has no value here' : 'a name has letters, digits and _, and begins with no digit'
    reader.warnings.about(reader.place, `the variable ${JSON.stringify(name)} is left out: ${why}`)
    return []
  })
  return children.length === 0 ? undefined : group('env', [], children)
}

/** @param user who logs in when the file does not say */
export const cloudInitNode = (value: unknown, parent: Reader, user: string): KdlNode => {
  const reader = readerOf(`${parent.place}: cloud_init`, value, parent.warnings)
  const packages = listOf(take(reader, 'packages')).map((one) => listOf(one).map(textOf).join('='))
  const children = [
    simple(reader, 'user') ?? node('user', user),
    simple(reader, 'hostname'),
    ...listOf(take(reader, 'ssh_authorized_keys')).map((key) => node('ssh-key', textOf(key) ?? '')),
    packages.length > 0 ? node('packages', ...packages) : undefined,
    ...['package_update', 'package_upgrade', 'timezone', 'locale'].map((key) => simple(reader, key)),
    ...listOf(take(reader, 'write_files')).map((file) => writeFileNode(file, reader)),
    ...commandNodes(reader, 'bootcmd'),
    ...commandNodes(reader, 'runcmd'),
  ]
  leftOver(reader)
  return group('cloud-init', [], children)
}

const commandNodes = (reader: Reader, name: string): readonly KdlNode[] =>
  listOf(take(reader, name)).flatMap((command) => {
    const words = listOf(command).map((word) => textOf(word))
    if (words.length > 0 && words.every((word) => word !== undefined && word !== '')) return [node(name, ...words)]
    reader.warnings.about(reader.place, `a command of ${name} is left out: it is neither a line nor a list of words`)
    return []
  })

const writeFileNode = (file: unknown, parent: Reader): KdlNode | undefined => {
  const reader = readerOf(`${parent.place}: write_files`, file, parent.warnings)
  const path = textOf(take(reader, 'path')) ?? ''
  const leave = (why: string): undefined => {
    parent.warnings.about(parent.place, `the file ${path} is left out: ${why}`)
    return undefined
  }
  if (flag(reader, 'append') === true) return leave('it is added to, which vmctl does not do; do so by runcmd')
  const encoding = textOf(take(reader, 'encoding')) ?? 'text/plain'
  const text = textOf(take(reader, 'content')) ?? ''
  const content = decoded(text, encoding)
  if (content === undefined) return leave(`its encoding ${encoding} is not text in base64`)
  const permissions = textOf(take(reader, 'permissions'))
  // YAML 1.2 takes 0644 for the number 644: its digits are meant.
  const mode = permissions !== undefined && /^[0-7]{3,4}$/.test(permissions) ? permissions.padStart(4, '0') : permissions
  const children = [mode === undefined ? undefined : node('permissions', mode), simple(reader, 'owner'), node('content', content)]
  leftOver(reader)
  return group('write-file', [path], children)
}

const decoded = (text: string, encoding: string): string | undefined => {
  if (encoding === 'text/plain') return text
  if (!['b64', 'base64'].includes(encoding)) return undefined
  try {
    return new TextDecoder('utf-8', {fatal: true, ignoreBOM: true}).decode(Buffer.from(text, 'base64'))
  } catch {
    return undefined
  }
}

/** VMs of both programs can always be logged in to, so this is never absent. */
export const sshNode = (reader: Reader): KdlNode => {
  const ssh = readerOf(`${reader.place}: ssh`, take(reader, 'ssh'), reader.warnings)
  const key = textOf(take(ssh, 'private_key'))
  const children = [simple(ssh, 'port'), simple(ssh, 'user'), key === undefined ? undefined : node('private-key', hostPath(key))]
  leftOver(ssh)
  return group('ssh', [], children)
}

/** qemu-compose reads these steps and never runs them; what is written here is run. */
export const provisionNode = (step: unknown, parent: Reader): KdlNode | undefined => {
  const reader = readerOf(`${parent.place}: provision`, step, parent.warnings)
  const type = textOf(take(reader, 'type')) ?? 'shell'
  const [inline, script] = [textOf(take(reader, 'inline')), textOf(take(reader, 'script')) ?? textOf(take(reader, 'path'))]
  const [source, destination] = [textOf(take(reader, 'source')), textOf(take(reader, 'destination'))]
  const shell = inline === undefined ? (script === undefined ? undefined : node('script', hostPath(script))) : node('inline', inline)
  const file =
    source === undefined || destination === undefined ? undefined : [node('source', hostPath(source)), node('destination', destination)]
  leftOver(reader)
  if (type === 'shell' && shell) return group('provision', ['shell'], [shell])
  if (type === 'file' && file) return group('provision', ['file'], file)
  reader.warnings.about(reader.place, `a step of the type ${type} is left out: write it as \`provision "shell"\` or \`provision "file"\``)
  return undefined
}
