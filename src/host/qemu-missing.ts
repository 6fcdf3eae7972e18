import {exitCodes} from '../model/exit-codes.ts'
import type {Failure} from '../model/failures.ts'

/** Neither the emulator nor its tool for images is there: both come together. */
export const qemuNotInstalled = {
  code: 'vmctl::qemu::not_installed',
  exit: exitCodes.host,
  help: 'Install QEMU (Debian, Ubuntu: `sudo apt-get install qemu-system-x86 qemu-utils`), then run `vmctl doctor`.',
} as const satisfies Failure
