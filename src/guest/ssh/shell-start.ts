import {VmctlError} from '../../model/errors.ts'
import {formatDuration} from '../../model/quantity.ts'
import {stripControls} from '../../model/strip.ts'

/** How the login shell of a user has not run what it was given, and what it has said meanwhile. */
export interface NotBegun {
  readonly user: string
  readonly how: string
  readonly stdout: string
  readonly stderr: string
}

const lineCount = 3
const lineLength = 200

/** The first lines of each output. */
const sayings = ({stdout, stderr}: Pick<NotBegun, 'stdout' | 'stderr'>): readonly string[] =>
  [stdout, stderr].flatMap((text) =>
    stripControls(text)
      .split('\n')
      .map((line) => line.trim().slice(0, lineLength))
      .filter((line) => line !== '')
      .slice(0, lineCount),
  )

/**
 * The login shell has ended, or takes for ever, without having run the command: it is none that runs commands (nologin, git-shell),
 * the account may not be used (a password that has expired), or a start-up file ends the shell or waits.
 */
export const notBegun = ({user, how, ...outputs}: NotBegun): VmctlError => {
  const said = sayings(outputs)
  return new VmctlError(
    'vmctl::ssh::failed',
    `The login shell of the user ${JSON.stringify(user)} in the guest does not run commands: it ${how}.${
      said.length === 0 ? '' : ` It said:\n  ${said.join('\n  ')}`
    }`,
    {
      help: 'Give the user a login shell that runs commands (`chsh`), log in as another one (`ssh { user … }`), or correct its start-up files (~/.bashrc, ~/.zshenv, ~/.ssh/rc …).',
      retry: 'never',
      details: {said},
    },
  )
}

/** What is told of a login shell that takes its time. */
export const slowShell = (user: string, ms: number): string =>
  `the login shell of ${JSON.stringify(user)} has not run the command for ${formatDuration(ms)}; a start-up file of it (~/.bashrc, ~/.ssh/rc …) may be slow, or wait for something`
