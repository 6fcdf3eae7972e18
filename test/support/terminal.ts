import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {vmctlWords} from './run-command.ts'

export interface OnTerminal {
  /** Everything that was written to the terminal. */
  readonly screen: string
  readonly exitCode: number
  /** Whether the terminal's settings are what they were. */
  readonly isRestored: boolean
}

/**
 * Runs vmctl on a terminal of 100 columns of its own.
 * @param keys what is typed, and after which text on the screen
 */
export const onTerminal = async (
  directory: string,
  words: readonly string[],
  keys: readonly {readonly after: string; readonly type: string}[] = [],
): Promise<OnTerminal> => {
  const path = join(directory, 'on-terminal.py')
  writeFileSync(path, program)
  const {CI: _ci, NO_COLOR: _noColor, ...env} = process.env
  const child = spawn('python3', [path, JSON.stringify(keys), process.execPath, ...vmctlWords, ...words], {
    cwd: directory,
    env: {...env, TERM: 'xterm'},
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  await once(child, 'close', {signal: AbortSignal.timeout(60_000)})
  const [screen = '', exitCode = '', isRestored = ''] = output.split('\0')
  return {screen, exitCode: Number(exitCode), isRestored: isRestored === 'True'}
}

/** The screen as it is at the end, line by line, for output that only uses what vmctl draws with. */
export const linesOf = (screen: string): readonly string[] => {
  const lines: string[] = ['']
  let row = 0
  let column = 0
  // oxlint-disable-next-line no-control-regex -- These are what a terminal is told by.
  for (const [piece] of screen.matchAll(/\u001b\[[?\d;]*[A-Za-z]|[\s\S]/gu)) {
    if (piece === '\r') column = 0
    else if (piece === '\n') lines[++row] ??= ''
    else if (/^\u001b\[\d*G$/.test(piece)) column = 0
    else if (/^\u001b\[[012]?K$/.test(piece)) lines[row] = piece.includes('2') ? '' : (lines[row] ?? '').slice(0, column)
    else if (piece.endsWith('A') && piece.startsWith('\u001b')) row = Math.max(0, row - Number(piece.slice(2, -1) || 1))
    else if (!piece.startsWith('\u001b')) {
      lines[row] = `${(lines[row] ?? '').padEnd(column).slice(0, column)}${piece}${(lines[row] ?? '').slice(column + 1)}`
      column += 1
    }
  }
  return lines
}

const program = String.raw`
import fcntl, json, os, pty, select, struct, sys, termios, time
keys = json.loads(sys.argv[1])
pid, fd = pty.fork()
if pid == 0:
    time.sleep(0.2)
    os.execv(sys.argv[2], sys.argv[2:])
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', 30, 100, 0, 0))
before = termios.tcgetattr(fd)
screen = b''
status = None
while True:
    ready, _, _ = select.select([fd], [], [], 0.1)
    if ready:
        try:
            chunk = os.read(fd, 65536)
        except OSError:
            break
        if not chunk:
            break
        screen += chunk
    elif status is not None:
        break
    if keys and keys[0]['after'].encode() in screen:
        os.write(fd, keys.pop(0)['type'].encode())
    if status is None:
        done, code = os.waitpid(pid, os.WNOHANG)
        if done:
            status = os.waitstatus_to_exitcode(code)
            after = termios.tcgetattr(fd)
if status is None:
    after = before
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
sys.stdout.write(screen.decode('utf8', 'replace') + '\0' + str(status) + '\0' + str(after == before))
`
