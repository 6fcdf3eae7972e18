import {readdir} from 'node:fs/promises'
import {dirname, join} from 'node:path'

import {readIfExists, writeFileAtomic} from '../../host/files.ts'
import {isIdentity, type ProcessIdentity} from '../../host/proc.ts'
import {seal, unseal} from '../../host/sealed.ts'
import {vmFiles} from '../../model/layout.ts'
import type {ForwardedPort} from '../../model/port.ts'

/** What the QEMU backend keeps of a VM, in `qemu.json`. Readers take it as a hint: the process is proven before it is trusted. */
export interface QemuRuntime {
  readonly schema: 1
  /** Name of the VM: a VM that is about to replace another one (`reload`) takes over its addresses. */
  readonly name: string
  readonly macAddress: string
  /** Loopback port that leads to the guest's port 22 (user network). */
  readonly sshPort?: number
  /** The other forwards of the user network, in the order of the spec. */
  readonly ports?: readonly ForwardedPort[]
  /** TAP devices that were made for the VM. */
  readonly taps?: readonly string[]
  readonly process?: ProcessIdentity
  readonly accelerator?: string
  readonly vncAddress?: string
  /** Where in the log of the console the present run begins, in bytes. */
  readonly consoleFrom?: number
}

/** The stored facts of a VM; undefined before `prepare`, or when the file is damaged (it is made anew then). */
export const readRuntime = async (vmDirectory: string): Promise<QemuRuntime | undefined> => {
  const text = await readIfExists(vmFiles(vmDirectory).qemu)
  if (text === undefined) return undefined
  try {
    const value = unseal(text)
    return isRuntime(value) ? value : undefined
  } catch {
    return undefined
  }
}

// oxlint-disable-next-line complexity -- A flat list of conditions; splitting it would not make it simpler.
const isRuntime = (value: unknown): value is QemuRuntime =>
  typeof value === 'object' &&
  value !== null &&
  'name' in value &&
  typeof value.name === 'string' &&
  'macAddress' in value &&
  typeof value.macAddress === 'string' &&
  (!('sshPort' in value) || (Number.isInteger(value.sshPort) && Number(value.sshPort) > 0 && Number(value.sshPort) < 65_536)) &&
  (!('ports' in value) || (Array.isArray(value.ports) && value.ports.every(isForward))) &&
  (!('taps' in value) || (Array.isArray(value.taps) && value.taps.every((tap) => typeof tap === 'string'))) &&
  (!('process' in value) || isIdentity(value.process))

const isForward = (value: unknown): value is ForwardedPort =>
  typeof value === 'object' &&
  value !== null &&
  'protocol' in value &&
  (value.protocol === 'tcp' || value.protocol === 'udp') &&
  'bind' in value &&
  typeof value.bind === 'string' &&
  'host' in value &&
  Number.isInteger(value.host) &&
  'guest' in value &&
  Number.isInteger(value.guest)

export const writeRuntime = (vmDirectory: string, runtime: QemuRuntime): Promise<void> =>
  writeFileAtomic(vmFiles(vmDirectory).qemu, seal(runtime))

/** The stored facts of all other VMs beside this one, for addresses that must be unique. */
export const readNeighbours = async (vmDirectory: string): Promise<QemuRuntime[]> => {
  const parent = dirname(vmDirectory)
  const entries = await readdir(parent, {withFileTypes: true}).catch(() => [])
  const others = entries.filter((entry) => entry.isDirectory() && join(parent, entry.name) !== vmDirectory)
  const runtimes = await Promise.all(others.map((entry) => readRuntime(join(parent, entry.name)).catch(() => undefined)))
  return runtimes.filter((runtime) => runtime !== undefined)
}
