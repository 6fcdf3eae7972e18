import {readOwnIfExists, writeFileAtomic} from '../../host/files.ts'
import {isAlive, isIdentity, type ProcessIdentity} from '../../host/proc.ts'
import {seal, unseal} from '../../host/sealed.ts'
import {qemuFiles} from './files.ts'
import type {ForwardedPort} from '../../model/port.ts'
import type {Holding} from '../hypervisor.ts'
import {forwardsOf} from './forwards.ts'

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
  const text = readOwnIfExists(qemuFiles(vmDirectory).qemu)
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
  writeFileAtomic(qemuFiles(vmDirectory).qemu, seal(runtime))

/** What a VM holds by its record, whether it runs or not. */
export const holdingOf = async (vmDirectory: string): Promise<Holding | undefined> => {
  const runtime = await readRuntime(vmDirectory)
  if (!runtime) return undefined
  const {name, macAddress, process} = runtime
  return {vm: name, macAddress, ports: forwardsOf(runtime), isAtRest: !(process && (await isAlive(process)))}
}
