import {join} from 'node:path'

import {vmFiles} from '../../model/layout.ts'
import {overlayIn} from '../local-disk.ts'
import {seedIn} from '../local-seed.ts'

/** Every file of a VM's directory that is this backend's own, once, with those that it shares with the engine. */
export const qemuFiles = (directory: string) =>
  ({
    ...vmFiles(directory),
    overlay: overlayIn(directory),
    seed: seedIn(directory),
    /** The whole disk of a copy, in place of an overlay. */
    wholeDisk: join(directory, 'disk.raw'),
    /** Addresses, ports and the last process. */
    qemu: join(directory, 'qemu.json'),
    qemuLog: join(directory, 'qemu.log'),
    /** What the programs that serve folders printed. */
    virtiofsdLog: join(directory, 'virtiofsd.log'),
    qmpSocket: join(directory, 'qmp.sock'),
    /** vmctl's own monitor, so that a person on qmp.sock never blocks it (a monitor serves one client). */
    monitorSocket: join(directory, 'vmctl.sock'),
    consoleSocket: join(directory, 'console.sock'),
    pidfile: join(directory, 'pidfile'),
    /** Who holds the guest for the moment of a checkpoint. */
    held: join(directory, 'held.json'),
    /** Where the memory of a guest passes when it is saved or loaded; QEMU, which works in the directory, uses the name alone. */
    memorySocket: join(directory, 'memory.sock'),
    efivars: join(directory, 'efivars.fd'),
  }) as const
