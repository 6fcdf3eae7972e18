import {readFile} from 'node:fs/promises'

import {reasonOf, VmctlError} from '../model/errors.ts'

export interface TokenOptions {
  readonly env: NodeJS.ProcessEnv
  readonly stdin: NodeJS.ReadStream
  readonly signal: AbortSignal
}

/**
 * A token from a file, from standard input (`-`) or from VMCTL_HOME_TOKEN; undefined when none of them is named.
 * @throws VmctlError `vmctl::usage::invalid`, also for a token as a word, which every user of the host would see
 */
export const readToken = async (from: string | undefined, {env, stdin, signal}: TokenOptions): Promise<string | undefined> => {
  if (from === undefined) return env.VMCTL_HOME_TOKEN || undefined
  const token = (from === '-' ? await typed(stdin, signal) : await content(from)).trim()
  if (token !== '') return token
  throw new VmctlError('vmctl::usage::invalid', from === '-' ? 'Standard input had no token.' : `${from} is empty, and no token.`)
}

const content = async (path: string): Promise<string> => {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    // Long, of letters and digits, and no file: it is not to be repeated in a message.
    const isToken = path.length > 60 && /^[\w+/=-]+$/.test(path)
    throw new VmctlError(
      'vmctl::usage::invalid',
      isToken ? '--token wants a file, not the token itself.' : `Cannot read the token in ${path}: ${reasonOf(error)}`,
      {
        help: `A word of the command line is seen by every user of the host. Give it on standard input, \`--token -\`, or in VMCTL_HOME_TOKEN.`,
      },
    )
  }
}

/** One line is enough: at a terminal nobody has to end the input. */
const typed = async (stdin: NodeJS.ReadStream, signal: AbortSignal): Promise<string> => {
  if (stdin.isTTY) process.stderr.write('Token: ')
  let text = ''
  const end = (): void => void stdin.destroy()
  signal.addEventListener('abort', end, {once: true})
  try {
    for await (const chunk of stdin.setEncoding('utf8')) {
      text += String(chunk)
      if (text.trim() !== '' && text.includes('\n')) break
    }
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    signal.removeEventListener('abort', end)
  }
  signal.throwIfAborted()
  return text
}
