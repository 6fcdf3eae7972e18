import {spawn} from 'node:child_process'
import {isatty} from 'node:tty'

import {systemCode, VmctlError} from '../model/errors.ts'
import {debug} from '../model/debug.ts'
import {programEnvironment} from './environment.ts'

/**
 * Hands the terminal over to a program until it ends. Ctrl+C is the program's business then.
 * @returns its exit status, 128 + 1 when a signal ended it (as ssh(1) would say 255, which is passed on as it is)
 */
export const runInteractive = (program: string, args: readonly string[], help: string): Promise<number> =>
  new Promise((resolve, reject) => {
    debug('process', () => [program, ...args].join(' '))
    const ignore = (): void => undefined
    process.on('SIGINT', ignore)
    const child = spawn(program, args, {stdio: 'inherit', env: programEnvironment()})
    const settle = (finish: () => void): void => {
      process.off('SIGINT', ignore)
      finish()
    }
    child.once('error', (error) => {
      settle(() => {
        reject(
          systemCode(error) === 'ENOENT'
            ? new VmctlError('vmctl::host::not_installed', `${program} is not installed or not on PATH.`, {cause: error, help})
            : new VmctlError('vmctl::host::program_failed', `Cannot run ${program}: ${error.message}`, {cause: error}),
        )
      })
    })
    child.once('exit', (code) => {
      settle(() => {
        resolve(code ?? 129)
      })
    })
  })

/** Whether a person sits at both ends of this process. The descriptors are asked, because a stream that Node opens for one may read from it. */
export const isTerminal = (): boolean => isatty(0) && isatty(1)
