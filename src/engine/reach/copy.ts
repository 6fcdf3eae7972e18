import {stat} from 'node:fs/promises'
import {basename, join, resolve} from 'node:path'
import {posix} from 'node:path'

import {ioError} from '../../host/files.ts'
import {download, downloadBySftp} from '../../guest/transfer.ts'
import {systemCode, VmctlError, about} from '../../model/errors.ts'
import {elevate} from '../../model/elevate.ts'
import {noShell} from '../../model/login.ts'
import type {Vm} from '../../model/vm.ts'
import {downloadTree} from '../../provision/tree/tree-download.ts'
import {tellLeftOut, uploadTree} from '../../provision/tree/tree-upload.ts'
import {requireVm} from '../../store/store.ts'
import {waitForGuest} from './wait.ts'
import {asGuest} from './session.ts'
import {type Engine, observe} from '../engine.ts'
import {findVm} from '../find.ts'
import {shellCommand, programText} from '../../model/guest-program.ts'
import {kindOfPath} from '../../guest/programs/index.ts'

/** One side of a copy: a path here, or `NAME:PATH` in the guest of a VM. */
export interface Place {
  readonly vm?: string
  readonly path: string
}

/** `web:/etc/hosts` is in a guest; what has a slash before the colon is a path here. */
export const parsePlace = (text: string): Place => {
  const match = /^(?<vm>[^/:]+):(?<path>.*)$/su.exec(text)
  if (!match?.groups) return {path: text}
  const {vm = '', path = ''} = match.groups
  return {vm, path: path.replace(/^~(?:\/+|$)/, '') || '.'}
}

interface CopyOptions {
  /** Where relative local paths start. */
  readonly directory: string
  readonly privileged?: boolean
}

export interface CopyRequest extends CopyOptions {
  readonly from: Place
  readonly to: Place
}

/** What was copied; the `--json` shape of `vmctl cp`. */
export interface CopyResult {
  readonly name: string
  readonly from: string
  readonly to: string
  readonly kind: 'file' | 'directory'
  /** Entries that were sent and that were there already; only for a directory that was copied into a guest. */
  readonly sent?: number
  readonly unchanged?: number
}

const patienceMs = 30_000

/**
 * Copies a file or a directory between the host and a guest. A destination that ends in `/`, or is `.` or `..`, is a
 * directory to copy into, and so is, for a file, one that exists; any other destination is what the copy is called.
 */
export const copy = async (engine: Engine, {from, to, ...options}: CopyRequest): Promise<CopyResult> => {
  const asked = from.vm ?? to.vm
  if (asked === undefined || (from.vm !== undefined && to.vm !== undefined)) {
    throw new VmctlError('vmctl::usage::invalid', asked === undefined ? 'Both paths are on the host.' : 'Both paths are in a guest.', {
      help: 'Write one of them as NAME:PATH, such as `vmctl cp ./app web:/srv/app`.',
    })
  }
  const name = await findVm(engine, asked, {directory: options.directory})
  const vm = await requireVm(engine.store, name)
  await requireRunning(engine, vm)
  const {connection} = await waitForGuest(engine, vm, {timeoutMs: patienceMs, cloudInit: false})
  try {
    if (options.privileged && !connection.hasShell) throw noShell('Nothing can be copied as root')
    const work = {engine, vm, guest: asGuest(connection), options}
    return await (to.vm === undefined ? copyOut(work, from.path, to.path) : copyIn(work, from.path, to.path))
  } catch (error) {
    throw about(error, {vm: name})
  } finally {
    connection.close()
    await engine.emit({type: 'copy.done', vm: name})
  }
}

const requireRunning = async (engine: Engine, vm: Vm): Promise<void> => {
  const {state} = await observe(engine, vm)
  if (state === 'running') return
  throw new VmctlError('vmctl::vm::invalid_state', `VM ${vm.name} is ${state}; files can be copied only while it runs.`, {
    help: `Start it with \`vmctl start ${vm.name}\`.`,
  })
}

interface Work {
  readonly engine: Engine
  readonly vm: Vm
  readonly guest: ReturnType<typeof asGuest>
  readonly options: CopyOptions
}

const copyIn = async (work: Work, from: string, to: string): Promise<CopyResult> => {
  const {engine, vm, guest, options} = work
  const source = resolve(options.directory, from)
  const info = await stat(source).catch((error: unknown) => {
    throw ioError('read', source, error)
  })
  const common = {...access(engine, options), onProgress: progress(engine, vm)}
  const isInto = isDirectoryName(to) || (info.isFile() && (await kindInGuest(work, to)) === 'directory')
  const target = guestPath(isInto ? posix.join(to, basename(source)) : to)
  const result = {name: vm.name, from: source, to: `${vm.name}:${target}`}
  if (!info.isDirectory()) {
    await guest.upload(source, target, common)
    return {...result, kind: 'file'}
  }
  const {sent, unchanged, leftOut} = await uploadTree(guest, {source, destination: target}, common)
  if (leftOut.length > 0) await engine.emit({type: 'vm.notice', vm: vm.name, message: tellLeftOut(source, leftOut)})
  return {...result, kind: 'directory', sent, unchanged}
}

const copyOut = async (work: Work, from: string, to: string): Promise<CopyResult> => {
  const {engine, vm, guest, options} = work
  const source = guestPath(from)
  const kind = await kindInGuest(work, source)
  if (kind === 'missing') throw new VmctlError('vmctl::guest::not_found', `${vm.name} has no ${source}, or the user may not see it.`)
  const local = resolve(options.directory, to)
  const isInto = isDirectoryName(to) || (kind === 'file' && (await isDirectory(local)))
  const target = isInto ? join(local, basename(posix.resolve('/', source)) || vm.name) : local
  const common = {...access(engine, options), onProgress: progress(engine, vm)}
  if (kind === 'directory') await downloadTree(guest, {source, destination: target}, common)
  else await (guest.files ? downloadBySftp(guest.files, source, target, common) : download(guest, source, target, common))
  return {name: vm.name, from: `${vm.name}:${source}`, to: target, kind}
}

const access = (engine: Engine, {privileged = false}: CopyOptions) => ({privileged, signal: engine.signal})

const progress =
  (engine: Engine, vm: Vm) =>
  (bytes: number, totalBytes?: number): void =>
    void engine.emit({type: 'copy.progress', vm: vm.name, bytes, ...(totalBytes !== undefined && {totalBytes})})

const isDirectoryName = (path: string): boolean => /(?:^|\/)\.{0,2}$/.test(path)

/** A path that no program takes for an option; a relative one starts at the home directory of the user. */
const guestPath = (path: string): string => (path.startsWith('/') ? posix.normalize(path) : `./${posix.normalize(path)}`)

const isDirectory = async (path: string): Promise<boolean> => {
  try {
    return (await stat(path)).isDirectory()
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false
    throw ioError('read', path, error)
  }
}

const kindInGuest = async ({engine, guest, options}: Work, path: string): Promise<'file' | 'directory' | 'missing'> => {
  if (guest.files) {
    const entry = await guest.files.look(guestPath(path))
    return entry === undefined ? 'missing' : entry.type === 'directory' ? 'directory' : 'file'
  }
  const command = shellCommand(programText(kindOfPath, {path: guestPath(path)}))
  const {code} = await guest.exec(options.privileged ? elevate(command) : command, {signal: engine.signal})
  for (const kind of ['directory', 'file', 'missing'] as const) if (code === kindOfPath.statuses[kind]) return kind
  throw new VmctlError('vmctl::ssh::failed', `The guest could not be asked about ${path} (status ${code}).`)
}
