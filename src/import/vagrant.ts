import {type Draft, ImportError, importedName} from './draft.ts'
import {group, type KdlNode, node} from './kdl.ts'

/** Boxes whose system an image of vmctl has too, by pattern. */
const boxes: readonly (readonly [RegExp, string])[] = [
  [/^(?:debian|generic|bento|boxomatic|roboxes)\/(?:debian-?)?(?:bookworm|12)/, 'debian:12'],
  [/^(?:debian|generic|bento|boxomatic|roboxes)\/(?:debian-?)?(?:trixie|13)/, 'debian:13'],
  [/^(?:ubuntu|generic|bento|cloud-image|roboxes)\/(?:ubuntu-?)?(?:noble|24\.?04)/, 'ubuntu:noble'],
  [/^(?:ubuntu|generic|bento|cloud-image|roboxes)\/(?:ubuntu-?)?(?:jammy|22\.?04)/, 'ubuntu:jammy'],
]

/** What is known of one machine while the file is read. */
interface Machine {
  readonly name: string
  readonly settings: Map<string, KdlNode>
  readonly shares: KdlNode[]
  readonly ports: KdlNode[]
  readonly steps: KdlNode[]
}

/**
 * Reads the essentials of a Vagrantfile: boxes, memory, CPUs, forwarded ports, synced folders, shell and file provisioners, for one
 * or several machines. It is a program in Ruby, of which only plain settings can be understood; every other line is named.
 * @throws ImportError when nothing of it is a setting of Vagrant
 */
export const importVagrantfile = (text: string): Draft => {
  const warnings: string[] = []
  const common = machineOf('default')
  const machines: Machine[] = []
  let current = common
  const blocks: ('define' | 'other')[] = []
  for (const statement of statements(text)) {
    const {line, number} = statement
    const name = definedName(line)
    if (name !== undefined) {
      current = machineOf(name)
      machines.push(current)
      blocks.push('define')
    } else if (/^end\b/.test(line)) {
      if (blocks.pop() === 'define') current = common
    } else {
      const isFrame = /Vagrant\.configure|\.vm\.provider/.test(line)
      if (!isFrame && !setting(current, statement)) warnings.push(`line ${number} is left out: ${line}`)
      if (opensBlock.test(line)) blocks.push('other')
    }
  }
  const all = machines.length > 0 ? machines : [common]
  if (machines.length === 0 && common.settings.size === 0) throw new ImportError('nothing of this is a setting of Vagrant')
  return {nodes: all.map((machine) => vmNode(machine, common, warnings)), warnings}
}

/** What `end` closes. */
const opensBlock = /\bdo\s*(?:\|[^|]*\|)?$|^(?:if|unless|case|while|def|begin)\b/

const definedName = (line: string): string | undefined => {
  const [, name] = /\.vm\.define\s*\(?\s*[:"']([\w.-]+)["']?.*\bdo\b/.exec(line) ?? []
  return name === undefined ? undefined : (importedName(name) ?? 'vm')
}

const machineOf = (name: string): Machine => ({name, settings: new Map(), shares: [], ports: [], steps: []})

interface Statement {
  readonly line: string
  readonly number: number
  /** The text of a here-document that the line announces. */
  readonly document?: string
}

/** Lines without comments, lines that end with a comma joined with the next, here-documents with the line that announces them. */
const statements = (text: string): Statement[] => {
  const lines = text.split(/\r?\n/).map((line, index) => ({line, number: index + 1}))
  const result: Statement[] = []
  for (let next = lines.shift(); next; next = lines.shift()) {
    const {number} = next
    let line = next.line.trim()
    if (line === '' || line.startsWith('#')) continue
    while (/[,\\]$/.test(line) && lines.length > 0) line = `${line.replace(/\\$/, '')} ${lines.shift()?.line.trim()}`
    const [, name] = /<<[-~]?["']?([A-Z_]\w*)["']?/.exec(line) ?? []
    if (name === undefined) {
      result.push({line, number})
      continue
    }
    const length = lines.findIndex((one) => one.line.trim() === name)
    const document = lines.splice(0, length < 0 ? lines.length : length + 1).slice(0, length < 0 ? undefined : -1)
    result.push({line, number, document: unindent(document.map((one) => one.line))})
  }
  return result
}

const unindent = (lines: readonly string[]): string => {
  const depth = Math.min(...lines.filter((line) => line.trim() !== '').map((line) => line.length - line.trimStart().length))
  return lines.map((line) => `${line.slice(Number.isFinite(depth) ? depth : 0)}\n`).join('')
}

/** The value of `key: "value"`, `key => "value"` or `key = "value"`. */
const option = (line: string, key: string): string | undefined => {
  const pattern = new RegExp(String.raw`\b${key}["']?\s*(?::|=>|=)\s*(?:"([^"]*)"|'([^']*)'|:?(\w[\w.]*))`)
  const [, double, single, bare] = pattern.exec(line) ?? []
  return double ?? single ?? bare
}

const quotedWords = (line: string): string[] =>
  [...line.matchAll(/"([^"]*)"|'([^']*)'/g)].map(([, double, single]) => double ?? single ?? '')

/** Whether the line was understood. */
const setting = (machine: Machine, {line, document}: Statement): boolean => {
  const [, what = ''] = /\.(?:vm\.)?(\w+)\b/.exec(line.replace(/^\w+(?=\.)/, '')) ?? []
  const read = settings[what]
  return read !== undefined && read(machine, line, document)
}

const keep =
  (key: string, make: (value: string) => KdlNode) =>
  (machine: Machine, line: string): boolean => {
    const value = /=\s*(?:"([^"]*)"|'([^']*)'|(\d+))\s*(?:#.*)?$/.exec(line)
    const text = value?.[1] ?? value?.[2] ?? value?.[3]
    if (text !== undefined) machine.settings.set(key, make(text))
    return text !== undefined
  }

const settings: Readonly<Record<string, (machine: Machine, line: string, document: string | undefined) => boolean>> = {
  box: keep('image', (box) => node('image', boxes.find(([pattern]) => pattern.test(box))?.[1] ?? box)),
  box_url: keep('image-url', (url) => node('image-url', url)),
  hostname: keep('hostname', (name) => group('cloud-init', [], [node('hostname', name)])),
  memory: keep('memory', (size) => node('memory', Number(size))),
  cpus: keep('vcpus', (count) => node('vcpus', Number(count))),
  network: (machine, line) => {
    const guest = option(line, 'guest')
    if (!line.includes('forwarded_port') || guest === undefined) return false
    const host = option(line, 'host')
    const [bind, protocol] = [option(line, 'host_ip'), option(line, 'protocol')]
    const isPlain = bind === undefined && protocol === undefined && host !== undefined
    machine.ports.push(
      isPlain
        ? node('port', `${host}:${guest}`)
        : {
            ...node('port'),
            props: {
              guest: Number(guest),
              ...(host !== undefined && {host: Number(host)}),
              ...(protocol !== undefined && {protocol}),
              ...(bind !== undefined && {bind}),
            },
          },
    )
    return true
  },
  synced_folder: (machine, line) => {
    const [source, target] = quotedWords(line)
    if (source === undefined || target === undefined) return false
    if (option(line, 'disabled') !== 'true') machine.shares.push(node('share', source, target))
    return true
  },
  provision: (machine, line, document) => {
    const type = /\.vm\.provision\s*\(?\s*[:"'](\w+)/.exec(line)?.[1]
    const children = type === 'shell' ? shellFields(line, document) : type === 'file' ? fileFields(line) : undefined
    if (!children) return false
    machine.steps.push({
      ...group('provision', [type ?? ''], children),
      props: {
        // Vagrant runs its steps at the first `up` only, and shell steps as root.
        ...(option(line, 'run') === 'always' ? {} : {run: 'once'}),
        ...(type === 'shell' && option(line, 'privileged') !== 'false' && {privileged: true}),
      },
    })
    return true
  },
}

const shellFields = (line: string, document: string | undefined): KdlNode[] | undefined => {
  const inline = document ?? option(line, 'inline')
  const path = option(line, 'path')
  if (inline !== undefined) return [node('inline', inline)]
  return path === undefined ? undefined : [node('script', path)]
}

/** A relative destination would be in the home of Vagrant's user. */
const fileFields = (line: string): KdlNode[] | undefined => {
  const [source, destination] = [option(line, 'source'), option(line, 'destination')]
  if (source === undefined || !destination?.startsWith('/')) return undefined
  return [node('source', source), node('destination', destination)]
}

const vmNode = (machine: Machine, common: Machine, warnings: string[]): KdlNode => {
  const own = machine === common ? machineOf('') : machine
  const merged = new Map([...common.settings, ...own.settings])
  if (merged.has('image-url')) merged.delete('image')
  const box = merged.get('image')?.args[0]
  if (typeof box === 'string' && box.includes('/')) {
    warnings.push(`${machine.name}: the box ${box} is no image that vmctl knows; name one in its place`)
  } else if (box === undefined && !merged.has('image-url')) warnings.push(`${machine.name}: no box is named; add an image`)
  const steps = [...common.steps, ...own.steps]
  return group(
    'vm',
    [machine.name],
    [
      ...merged.values(),
      ...[...common.ports, ...own.ports, ...common.shares, ...own.shares],
      ...(steps.length > 0 ? [group('ssh', [], [])] : []),
      ...steps,
    ],
  )
}
