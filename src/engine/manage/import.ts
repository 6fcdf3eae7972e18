import {readFile, realpath} from 'node:fs/promises'
import {basename, dirname, isAbsolute, join, relative, resolve} from 'node:path'

import {ioError, writeFileAtomic, pathExists} from '../../host/files.ts'
import {lastLines, run} from '../../host/process.ts'
import {type Draft, importDomain, ImportError, importFile, isForeignFile, type KdlNode, printKdl} from '../../import/index.ts'
import {messageOf, type Problem, VmctlError} from '../../model/errors.ts'
import {stripControls} from '../../model/strip.ts'
import {checkImported} from './import-check.ts'

export {invalidImport} from './import-check.ts'

export interface ImportRequest {
  /** Files (holos.yaml, qemu-compose.yaml, Vagrantfile, *.xml, vms.json) and names of libvirt domains. */
  readonly sources: readonly string[]
  /** Files with the XML of a domain, whatever they are called. */
  readonly xml?: readonly string[]
  /** All domains of libvirt. */
  readonly all?: boolean
  /** URI of the libvirt to ask; its default when absent. */
  readonly connect?: string | undefined
  /** Where the VMFile will be, so that its paths start there; VMFile.kdl in the directory when absent. */
  readonly output?: string | undefined
  readonly signal: AbortSignal
}

export interface ImportResult {
  /** The VMFile. */
  readonly text: string
  /** What could not be carried over. */
  readonly warnings: readonly string[]
  /** Commands of the other program whose words mean something else here. */
  readonly notes: readonly string[]
  /** What is still wrong with the VMFile, and, as warnings, which of its files are missing on the host. */
  readonly problems: readonly Problem[]
  /** Whether `vmctl validate` accepts it, apart from files that are missing on the host. */
  readonly isValid: boolean
}

/**
 * Turns what other programs know of VMs into a VMFile, and checks it. What cannot be read is a warning, as long as something can.
 * @throws VmctlError `vmctl::import::failed` when nothing could be read, `vmctl::usage::invalid`, `vmctl::host::not_installed`
 */
export const importVms = async (request: ImportRequest, directory: string): Promise<ImportResult> => {
  const path = resolve(directory, request.output ?? 'VMFile.kdl')
  const drafts: (Draft & {origin: string; directory: string})[] = []
  const warnings: string[] = []
  const refused: string[] = []
  for (const {origin, read, directory: from} of await originsOf(request, directory)) {
    try {
      const draft = await read()
      drafts.push({...draft, origin, directory: from})
      warnings.push(...draft.warnings)
    } catch (error) {
      if (!(error instanceof ImportError)) throw error
      refused.push(`${origin}: ${error.message}`)
      warnings.push(`${origin} is left out: ${error.message}`)
    }
  }
  if (drafts.length === 0) throw new VmctlError('vmctl::import::failed', `Nothing was imported. ${refused.join('. ')}.`)
  const parts: string[] = []
  for (const [index, {nodes, origin, directory: from}] of drafts.entries()) {
    const kept = index === 0 ? nodes : withoutProject(nodes, origin, warnings)
    parts.push(`// From ${origin.replaceAll(/\s/g, ' ')}, by vmctl import.\n${printKdl(kept, await rebasing(from, dirname(path)))}`)
  }
  const text = parts.join('\n')
  return {
    text,
    warnings: warnings.map((warning) => stripControls(warning)),
    notes: [...new Set(drafts.flatMap(({notes = []}) => notes))],
    ...(await checkImported(text, path, request.output ?? 'standard output')),
  }
}

/** A VMFile has one project, which is that of the first file. */
const withoutProject = (nodes: readonly KdlNode[], origin: string, warnings: string[]): readonly KdlNode[] => {
  const project = nodes.find(({name}) => name === 'project')
  if (project) warnings.push(`${origin}: its project is left out: a VMFile has one`)
  return nodes.filter((node) => node !== project)
}

/** Makes paths that start in one directory start in another; absolute ones and those of the home directory stay. */
const rebasing = async (from: string, to: string): Promise<(path: string) => string> => {
  const [source, target] = await Promise.all([from, to].map((directory) => realpath(directory).catch(() => directory)))
  return (path) => {
    if (source === undefined || target === undefined || source === target || isAbsolute(path) || /^~(?:\/|$)/.test(path)) return path
    const moved = relative(target, join(source, path))
    return moved.startsWith('..') ? moved : `./${moved}`
  }
}

/**
 * Writes an imported VMFile as a whole.
 * @throws VmctlError `vmctl::import::exists` instead of replacing a file that was not to be replaced
 */
export const writeImported = async (path: string, text: string, {force}: {force: boolean}): Promise<void> => {
  if (!force && (await pathExists(path))) throw new VmctlError('vmctl::import::exists', `${path} exists already.`)
  await writeFileAtomic(path, text, 0o644)
}

interface Origin {
  readonly origin: string
  /** Where its relative paths start. */
  readonly directory: string
  readonly read: () => Promise<Draft>
}

const originsOf = async ({sources, xml = [], all, connect, signal}: ImportRequest, directory: string): Promise<Origin[]> => {
  const files = sources.filter(isForeignFile)
  const virsh = askVirsh(connect, signal)
  const named = sources.filter((source) => !isForeignFile(source))
  const domains = all ? [...new Set([...named, ...(await listDomains(virsh))])] : named
  if (files.length + xml.length + domains.length === 0) {
    throw new VmctlError('vmctl::usage::invalid', all ? 'libvirt knows no domain.' : 'Nothing to import.', {
      help: 'Name a file (holos.yaml, qemu-compose.yaml, Vagrantfile, domain.xml) or a libvirt domain, or use --all.',
    })
  }
  const ofFile = (file: string, read: (text: string, from: string) => Draft): Origin => {
    const from = dirname(resolve(directory, file))
    return {origin: file, directory: from, read: async () => read(await readText(resolve(directory, file)), from)}
  }
  return [
    ...files.map((file) => ofFile(file, (text, from) => importFile(file, text, basename(from)))),
    ...xml.map((file) => ofFile(file, importDomain)),
    ...domains.map((domain) => ({
      origin: `the libvirt domain ${domain}`,
      directory,
      read: async () => importDomain(await virsh('dumpxml', '--domain', domain)),
    })),
  ]
}

/** Bytes of a file that somebody has written; a disk image by mistake is not read as a whole. */
const sizeLimit = 4 * 2 ** 20

const readText = async (path: string): Promise<string> => {
  const bytes = await readFile(path).catch((error: unknown) => {
    throw ioError('read', path, error)
  })
  if (bytes.length > sizeLimit) throw new ImportError('it has more than 4 MB')
  try {
    return new TextDecoder('utf-8', {fatal: true, ignoreBOM: true}).decode(bytes)
  } catch (error) {
    throw new ImportError('it is not a text in UTF-8', {cause: error})
  }
}

type Virsh = (...args: readonly string[]) => Promise<string>

const askVirsh =
  (connect: string | undefined, signal: AbortSignal): Virsh =>
  async (...args) => {
    const {exitCode, stdout, stderr} = await run('virsh', [...(connect === undefined ? [] : ['--connect', connect]), ...args], {
      signal,
      timeoutMs: 60_000,
      notInstalled: {
        help: 'Install libvirt-clients, or import the XML of the domain from a file: `vmctl import --xml FILE`.',
      },
    })
    if (exitCode !== 0) throw new ImportError(lastLines(stderr.trim(), 2) || `virsh ended with ${exitCode}`)
    return stdout
  }

const listDomains = async (virsh: Virsh): Promise<string[]> => {
  const names = await virsh('list', '--all', '--name').catch((error: unknown) => {
    throw new VmctlError('vmctl::import::failed', `libvirt does not list its domains: ${messageOf(error)}`, {cause: error})
  })
  return names.split('\n').filter((name) => name.trim() !== '')
}
