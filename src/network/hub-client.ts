import {open, rm} from 'node:fs/promises'
import {setTimeout as sleep} from 'node:timers/promises'

import {readIfExists} from '../host/files.ts'
import {acquireLock} from '../host/lock.ts'
import {ownProgram} from '../host/own-program.ts'
import {endForCertain, parseIdentity, waitForEnd} from '../host/proc.ts'
import {lastLines, spawnDetached} from '../host/process.ts'
import {connectUnix} from '../host/sockets.ts'
import {isFailure, messageOf, VmctlError} from '../model/errors.ts'
import {networkFiles} from '../model/layout.ts'
import type {HubRequest, HubStatus} from './hub.ts'
import {sweepDirectory} from './record.ts'

/** Long enough for a machine that is busy starting VMs. */
const startDeadlineMs = 20_000

/** Asks a network's hub. Resolves to undefined when none answers, which says nothing about the VMs. */
export const askHub = async (directory: string, request: HubRequest, timeoutMs = 2000): Promise<HubStatus | undefined> => {
  const signal = AbortSignal.timeout(timeoutMs)
  try {
    const socket = await connectUnix(networkFiles(directory).hubSocket, signal)
    const abort = (): void => void socket.destroy(new Error('no answer'))
    signal.addEventListener('abort', abort, {once: true})
    try {
      socket.write(`${request}\n`)
      let text = ''
      for await (const chunk of socket) text += String(chunk)
      const answer: unknown = JSON.parse(text)
      return isStatus(answer) ? answer : undefined
    } finally {
      signal.removeEventListener('abort', abort)
      socket.destroy()
    }
  } catch {
    return undefined
  }
}

const isStatus = (value: unknown): value is HubStatus =>
  typeof value === 'object' && value !== null && 'pid' in value && 'connected' in value

/**
 * Makes sure that a mesh has its hub, and that the hub has looked for members. The caller holds the lock of the networks, so that
 * only one process starts one.
 * @throws VmctlError `vmctl::network::hub_failed`
 */
export const startHub = async (
  {directory, vmsDirectory}: {directory: string; vmsDirectory: string},
  signal: AbortSignal,
): Promise<void> => {
  if (await askHub(directory, 'scan')) return
  // It answers nothing: it is gone, on its way, or hangs. Only its lock tells.
  if (await isHeld(directory)) {
    if (await waitForHub(directory, {until: performance.now() + 5000, signal})) return
    await endHub(directory)
  }
  await sweepDirectory(directory)
  const files = networkFiles(directory)
  await using log = await open(files.hubLog, 'w', 0o600)
  const child = await spawnDetached(process.execPath, [...ownProgram('network/hub-program'), directory, vmsDirectory], {
    cwd: directory,
    output: log,
    env: {},
  }).catch((error: unknown) => {
    throw new VmctlError('vmctl::network::hub_failed', `The hub of the network cannot be started: ${messageOf(error)}`, {cause: error})
  })
  let ended: string | undefined
  void child.ended.then((how) => {
    ended = how
  })
  if (await waitForHub(directory, {until: performance.now() + startDeadlineMs, signal, isOver: () => ended !== undefined})) return
  const said = lastLines((await readIfExists(files.hubLog)) ?? '', 5)
  const how = ended === undefined ? 'does not answer' : `ended at once (${ended})`
  throw new VmctlError('vmctl::network::hub_failed', `The hub of the network in ${directory} ${how}${said === '' ? '.' : `: ${said}`}`)
}

const waitForHub = async (
  directory: string,
  {until, signal, isOver = () => false}: {until: number; signal: AbortSignal; isOver?: () => boolean},
): Promise<boolean> => {
  while (performance.now() < until && !isOver()) {
    signal.throwIfAborted()
    if (await askHub(directory, 'scan')) return true
    await sleep(10)
  }
  return false
}

/** Whether a hub lives, by the lock that it holds. */
const isHeld = async (directory: string): Promise<boolean> => {
  try {
    await using _lock = await acquireLock(networkFiles(directory).hubLock, {purpose: 'look for the hub', timeoutMs: 0})
    return false
  } catch (error) {
    // A directory that is gone has no lock.
    return isFailure(error, 'vmctl::vm::locked')
  }
}

/**
 * Ends the hub of a mesh for certain; nothing happens when there is none. One that does not answer is killed if it is the process
 * that wrote down who it is. The caller holds the lock of the networks.
 * @throws VmctlError `vmctl::network::hub_failed` when it cannot be ended
 */
export const endHub = async (directory: string): Promise<void> => {
  const files = networkFiles(directory)
  const identity = parseIdentity((await readIfExists(files.hubProcess)) ?? '')
  await askHub(directory, 'end')
  if (identity && !(await waitForEnd(identity, 3000))) await endForCertain(identity)
  // Its threads may still end when it counts as gone, and the lock goes with the last of them.
  const deadline = Date.now() + 3000
  while (await isHeld(directory)) {
    if (Date.now() > deadline) {
      throw new VmctlError('vmctl::network::hub_failed', `The hub of the network in ${directory} neither answers nor ends.`)
    }
    await sleep(10)
  }
  await Promise.all([files.hubSocket, files.hubProcess].map((path) => rm(path, {force: true})))
}
