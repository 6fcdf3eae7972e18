import {qemuNotInstalled} from '../../host/qemu-missing.ts'
import {exitCodes} from '../../model/exit-codes.ts'
import type {Failure} from '../../model/failures.ts'

const {host} = exitCodes

/** What QEMU fails with besides the codes that all share. */
export const qemuFailures = {
  notInstalled: qemuNotInstalled,
  spawnFailed: {code: 'vmctl::qemu::spawn_failed', exit: host, help: 'Read the message of QEMU above, then run `vmctl doctor`.'},
  qmpConnectFailed: {
    code: 'vmctl::qemu::qmp_connect_failed',
    exit: host,
    help: 'QEMU may have crashed before its control socket was ready; read qemu.log in the directory of the VM.',
  },
  qmpCommandFailed: {code: 'vmctl::qemu::qmp_command_failed', exit: host, help: 'Read qemu.log in the directory of the VM.'},
  acceleratorUnavailable: {
    code: 'vmctl::qemu::accelerator_unavailable',
    exit: host,
    help: 'Run `vmctl doctor` to see which accelerators work here.',
  },
  firmwareNotFound: {
    code: 'vmctl::qemu::firmware_not_found',
    exit: host,
    help: 'Install the UEFI firmware (Debian, Ubuntu: `sudo apt-get install ovmf`).',
  },
  processSurvived: {
    code: 'vmctl::qemu::process_survived',
    exit: host,
    help: 'The process could not be ended; nothing was removed. Look at it with `ps`, then try again.',
  },
  virtiofsUnavailable: {
    code: 'vmctl::share::virtiofs_unavailable',
    exit: host,
    help: 'Install virtiofsd 1.13 or newer, or leave the driver to vmctl, which takes 9p then.',
  },
} as const satisfies Readonly<Record<string, Failure>>
