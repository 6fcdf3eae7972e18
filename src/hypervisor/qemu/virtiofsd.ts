import {open, rm} from 'node:fs/promises'
import {basename, join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'

import {readIfExists, pathExists} from '../../host/files.ts'
import {findProgram} from '../../host/paths.ts'
import {identifyProcess, listProcesses, type ProcessIdentity, processArguments} from '../../host/proc.ts'
import {lastLines, run, spawnDetached} from '../../host/process.ts'
import {messageOf, VmctlError} from '../../model/errors.ts'
import {qemuFiles} from './files.ts'
import type {SharedFolder, Vm} from '../../model/vm.ts'
import {endProcess} from './process.ts'
import {qemuFailures} from './failures.ts'

/** Where distributions put it, for it is no program that users start. */
const places = ['virtiofsd', '/usr/libexec/virtiofsd', '/usr/lib/virtiofsd', '/usr/lib/qemu/virtiofsd', '/usr/lib64/virtiofsd']

/** Options of virtiofsd 1.13 without which a share would not do what it should: the program of the same name in QEMU 7 lacks them. */
const needed = ['--shared-dir', '--readonly', '--translate-uid']

/** A virtiofsd that can be used, or why there is none. */
export type Virtiofsd = {readonly program: string} | {readonly reason: string}

export const findVirtiofsd = async (): Promise<Virtiofsd> => {
  const reasons: string[] = []
  for (const place of places) {
    const program = await findProgram(place)
    if (program === undefined) continue
    const help = await run(program, ['--help'], {timeoutMs: 20_000}).catch((error: unknown) => messageOf(error))
    const lacking = typeof help === 'string' ? [] : needed.filter((option) => !help.stdout.includes(option))
    if (typeof help !== 'string' && lacking.length === 0) return {program}
    reasons.push(typeof help === 'string' ? help : `${program} is too old, it has no ${lacking.join(', ')}`)
  }
  return {reason: reasons.join('; ') || 'virtiofsd is not installed'}
}

/** @throws VmctlError `vmctl::share::virtiofs_unavailable` */
export const requireVirtiofsd = async (): Promise<string> => {
  const found = await findVirtiofsd()
  if ('program' in found) return found.program
  throw new VmctlError(qemuFailures.virtiofsUnavailable, `A share with driver "virtiofs" cannot be made: ${found.reason}.`)
}

/** The VM's UUID in the name proves whose process it is; the path is relative, for sockets have room for 107 bytes. */
const socketName = (vm: Pick<Vm, 'id'>, index: number): string => `virtiofs-${index}-${vm.id}.sock`

/**
 * The command line of virtiofsd; pure. For an ordinary user all owners in the guest are that user, as they are with 9p: its own
 * sandbox, a user namespace, knows no others.
 */
export const virtiofsdArguments = (
  {path, readOnly}: SharedFolder,
  {socket, uid, gid}: {readonly socket: string; readonly uid: number; readonly gid: number},
): string[] => [
  `--socket-path=${socket}`,
  `--shared-dir=${path}`,
  '--cache=auto',
  '--sandbox=namespace',
  ...(readOnly ? ['--readonly'] : []),
  ...(uid === 0 ? [] : [`--translate-uid=squash-guest:0:${uid}:4294967295`, `--translate-gid=squash-guest:0:${gid}:4294967295`]),
]

/** The sockets at which folders are served by virtiofs, by tag; the others are for 9p. */
export type VirtiofsSockets = Readonly<Record<string, string>>

export interface ServeOptions {
  readonly signal: AbortSignal
  readonly notify?: ((message: string) => void) | undefined
}

/**
 * Starts a virtiofsd for each folder of a VM that is to have one. They end by themselves when QEMU does.
 * @throws VmctlError `vmctl::share::virtiofs_unavailable` when it was asked for by name
 */
export const serveFolders = async (vm: Vm, {signal, notify}: ServeOptions): Promise<VirtiofsSockets> => {
  const folders = (vm.attachments?.folders ?? []).map((folder, index) => ({folder, index})).filter(({folder}) => folder.driver !== '9p')
  if (folders.length === 0) return {}
  const found = await findVirtiofsd()
  const sockets: Record<string, string> = {}
  for (const {folder, index} of folders) {
    const isRequired = folder.driver === 'virtiofs'
    if (!('program' in found)) {
      if (isRequired) await requireVirtiofsd()
      continue
    }
    const socket = socketName(vm, index)
    try {
      await serve(vm, folder, {program: found.program, socket, signal})
      sockets[folder.tag] = socket
    } catch (error) {
      signal.throwIfAborted()
      if (isRequired) throw error
      notify?.(`virtiofsd does not work here, shares use 9p: ${messageOf(error)}`)
      return sockets
    }
  }
  return sockets
}

const serve = async (
  vm: Vm,
  folder: SharedFolder,
  {program, socket, signal}: {readonly program: string; readonly socket: string; readonly signal: AbortSignal},
): Promise<void> => {
  const {virtiofsdLog} = qemuFiles(vm.directory)
  const options = {socket, uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0}
  await using log = await open(virtiofsdLog, 'a', 0o600)
  const {size} = await log.stat()
  const child = await spawnDetached(program, virtiofsdArguments(folder, options), {cwd: vm.directory, output: log})
  let ended: string | undefined
  void child.ended.then((how) => {
    ended = how
  })
  const deadline = Date.now() + 10_000
  while (!(await pathExists(join(vm.directory, socket)))) {
    signal.throwIfAborted()
    if (ended !== undefined || Date.now() > deadline) {
      const said = lastLines(
        Buffer.from((await readIfExists(virtiofsdLog)) ?? '')
          .subarray(size)
          .toString(),
        3,
      )
      throw new VmctlError(
        qemuFailures.virtiofsUnavailable,
        `${program} does not serve ${folder.path} (${ended ?? 'it makes no socket'}): ${said || 'it said nothing'}`,
      )
    }
    await sleep(5)
  }
}

/**
 * Ends what still serves folders of a VM whose QEMU is certainly gone, and removes its sockets. A process is the VM's when the
 * socket on its command line has the VM's UUID.
 */
export const endServing = async (vm: Vm): Promise<void> => {
  if (!(await pathExists(qemuFiles(vm.directory).virtiofsdLog))) return
  await Promise.all((await servingProcesses(vm)).map(endProcess))
  const count = vm.attachments?.folders.length ?? 0
  for (let index = 0; index < count; index++) {
    for (const name of [socketName(vm, index), `${socketName(vm, index)}.pid`]) await rm(join(vm.directory, name), {force: true})
  }
}

/** The folders that QEMU was started with and that nobody serves any more, a sentence each. QEMU 7.2 does not connect again. */
export const unserved = async (vm: Vm, {pid}: ProcessIdentity): Promise<string[]> => {
  const folders = vm.attachments?.folders ?? []
  const wanted = (await processArguments(pid)).flatMap(
    (argument) => /^socket,.*path=(virtiofs-\d+-[0-9a-f-]+\.sock)/.exec(argument)?.[1] ?? [],
  )
  if (wanted.length === 0) return []
  const serving = new Set((await servingProcesses(vm)).map(({socket}) => socket))
  return folders.flatMap(({path}, index) => {
    const socket = socketName(vm, index)
    if (!wanted.includes(socket) || serving.has(socket)) return []
    return [`its virtiofsd for ${path} is gone, so the guest cannot use that share; \`vmctl restart ${vm.name}\` brings it back`]
  })
}

/** The processes that serve folders of a VM, each with its socket. */
const servingProcesses = async (vm: Pick<Vm, 'id'>): Promise<(ProcessIdentity & {readonly socket: string})[]> => {
  const found: (ProcessIdentity & {readonly socket: string})[] = []
  const option = '--socket-path='
  for (const pid of await listProcesses()) {
    const args = await processArguments(pid)
    const socket = args
      .find((argument) => argument.startsWith(`${option}virtiofs-`) && argument.endsWith(`-${vm.id}.sock`))
      ?.slice(option.length)
    if (socket === undefined || !args.some((argument) => basename(argument) === 'virtiofsd')) continue
    const identity = await identifyProcess(pid)
    if (identity) found.push({...identity, socket})
  }
  return found
}
