import {access, readFile} from 'node:fs/promises'
import {basename, dirname, resolve} from 'node:path'

import {ioError, writeFileAtomic} from '../host/files.ts'
import {lastLines, run} from '../host/process.ts'
import {type Draft, importDomain, ImportError, importFile, isForeignFile, printKdl} from '../import/index.ts'
import {isVmctlError, messageOf, type Problem, VmctlError} from '../model/errors.ts'
import {parseVmfile} from '../vmfile/index.ts'

export interface ImportRequest {
  /** Files (holos.yaml, qemu-compose.yaml, Vagrantfile, *.xml) and names of libvirt domains. */
  readonly sources: readonly string[]
  /** Files with the XML of a domain, whatever they are called. */
  readonly xml?: readonly string[]
  /** All domains of libvirt. */
  readonly all?: boolean
  /** URI of the libvirt to ask; its default when absent. */
  readonly connect?: string | undefined
  /** What problems call the VMFile. */
  readonly target: string
  readonly signal: AbortSignal
}

export interface ImportResult {
  /** The VMFile. */
  readonly text: string
  /** What could not be carried over. */
  readonly warnings: readonly string[]
  /** What is still wrong with the VMFile on this computer. */
  readonly problems: readonly Problem[]
}

/**
 * Turns what other programs know of VMs into a VMFile, and checks it. What cannot be read is a warning, as long as something can.
 * @throws VmctlError `vmctl::import::failed` when nothing could be read, `vmctl::usage::invalid`, `vmctl::host::not_installed`
 */
export const importVms = async (request: ImportRequest, directory: string): Promise<ImportResult> => {
  const drafts: {draft: Draft; origin: string}[] = []
  const warnings: string[] = []
  for (const {origin, read} of await originsOf(request, directory)) {
    try {
      const draft = await read()
      drafts.push({draft, origin})
      warnings.push(...draft.warnings)
    } catch (error) {
      if (!(error instanceof ImportError)) throw error
      warnings.push(`${origin} is left out: ${error.message}`)
    }
  }
  if (drafts.length === 0) throw new VmctlError('vmctl::import::failed', `Nothing could be imported. ${warnings.join('. ')}.`)
  const text = drafts
    .map(({draft, origin}) => `// From ${origin.replaceAll(/\s/g, ' ')}, by vmctl import.\n${printKdl(draft.nodes)}`)
    .join('\n')
  return {text, warnings, problems: await problemsOf(text, {directory, file: request.target})}
}

/**
 * Writes an imported VMFile as a whole.
 * @throws VmctlError `vmctl::import::exists` instead of replacing a file that was not to be replaced
 */
export const writeImported = async (path: string, text: string, {force}: {force: boolean}): Promise<void> => {
  const isThere = await access(path).then(
    () => true,
    () => false,
  )
  if (isThere && !force) throw new VmctlError('vmctl::import::exists', `${path} exists already.`)
  await writeFileAtomic(path, text, 0o644)
}

interface Origin {
  readonly origin: string
  readonly read: () => Promise<Draft>
}

const originsOf = async ({sources, xml = [], all, connect, signal}: ImportRequest, directory: string): Promise<Origin[]> => {
  const files = sources.filter(isForeignFile)
  const virsh = askVirsh(connect, signal)
  const named = sources.filter((source) => !isForeignFile(source))
  const domains = all ? [...new Set([...named, ...(await listDomains(virsh))])] : named
  if (files.length + xml.length + domains.length === 0) {
    throw new VmctlError('vmctl::usage::invalid', all ? 'libvirt knows no domain.' : 'Nothing is named that could be imported.', {
      help: 'Name a file (holos.yaml, qemu-compose.yaml, Vagrantfile, domain.xml) or a libvirt domain, or use --all.',
    })
  }
  return [
    ...files.map((file) => ({
      origin: file,
      read: async () => importFile(file, await readText(resolve(directory, file)), basename(dirname(resolve(directory, file)))),
    })),
    ...xml.map((file) => ({origin: file, read: async () => importDomain(await readText(resolve(directory, file)))})),
    ...domains.map((domain) => ({
      origin: `the libvirt domain ${domain}`,
      read: async () => importDomain(await virsh('dumpxml', '--domain', domain)),
    })),
  ]
}

const readText = async (path: string): Promise<string> =>
  readFile(path, 'utf8').catch((error: unknown) => {
    throw ioError('read', path, error)
  })

type Virsh = (...args: readonly string[]) => Promise<string>

const askVirsh =
  (connect: string | undefined, signal: AbortSignal): Virsh =>
  async (...args) => {
    const {exitCode, stdout, stderr} = await run('virsh', [...(connect === undefined ? [] : ['--connect', connect]), ...args], {
      signal,
      timeoutMs: 60_000,
      notInstalled: {
        code: 'vmctl::host::not_installed',
        help: 'Install libvirt-clients, or import the XML of the domain from a file: `vmctl import --xml FILE`.',
      },
    })
    if (exitCode !== 0) throw new ImportError(lastLines(stderr.trim(), 2) || `virsh ended with ${exitCode}`)
    return stdout
  }

const listDomains = async (virsh: Virsh): Promise<string[]> => {
  const names = await virsh('list', '--all', '--name').catch((error: unknown) => {
    throw new VmctlError('vmctl::import::failed', `libvirt does not tell its domains: ${messageOf(error)}`, {cause: error})
  })
  return names.split('\n').filter((name) => name.trim() !== '')
}

/** Files of another computer may be missing here, which is no fault of the import. */
const problemsOf = async (text: string, {directory, file}: {directory: string; file: string}): Promise<readonly Problem[]> => {
  try {
    const {warnings} = await parseVmfile(text, {path: resolve(directory, 'VMFile.kdl'), directory, file, toleratesMissing: true})
    return warnings
  } catch (error) {
    if (isVmctlError(error) && error.problems.length > 0) return error.problems
    throw error
  }
}
