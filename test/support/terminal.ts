import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {expect} from 'vitest'

import {vmctlWords} from './run-command.ts'

export interface OnTerminal {
  /** Everything that was written to the terminal. */
  readonly screen: string
  readonly exitCode: number
  /** Whether the terminal's settings are what they were. */
  readonly isRestored: boolean
}

/** Something is typed, the terminal gets another width, or the program on it a signal. */
export type TerminalAct = {readonly after: string} & (
  | {readonly type: string}
  | {readonly columns: number}
  | {readonly signal: 'SIGCONT' | 'SIGTERM'}
)

export interface TerminalOptions {
  /** What happens to the terminal, one after the other, each as soon as a text was written since the one before. */
  readonly keys?: readonly TerminalAct[]
  /** What `node` is given before the words; vmctl from src/ by default. */
  readonly program?: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  /** Variables besides those of this process. */
  readonly set?: NodeJS.ProcessEnv
  readonly timeoutMs?: number
}

/** Runs vmctl on a terminal of 100 columns of its own. */
export const onTerminal = async (directory: string, words: readonly string[], options: TerminalOptions = {}): Promise<OnTerminal> => {
  const {keys = [], program: vmctl = vmctlWords, timeoutMs = 60_000} = options
  const path = join(directory, 'on-terminal.py')
  writeFileSync(path, program)
  const {CI: _ci, NO_COLOR: _noColor, ...env} = options.env ?? process.env
  const child = spawn('python3', [path, JSON.stringify(keys), process.execPath, ...vmctl, ...words], {
    cwd: directory,
    env: {...env, TERM: 'xterm', ...options.set},
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  try {
    await once(child, 'close', {signal: AbortSignal.timeout(timeoutMs)})
  } catch (error) {
    child.kill()
    await once(child, 'close')
    throw new Error(`The terminal shows after ${timeoutMs} ms:\n${output}`, {cause: error})
  }
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
    else if (/^\u001b\[0?J$/.test(piece)) lines.splice(row, Number.POSITIVE_INFINITY, (lines[row] ?? '').slice(0, column))
    else if (/^\u001b\[[012]?K$/.test(piece)) lines[row] = piece.includes('2') ? '' : (lines[row] ?? '').slice(0, column)
    else if (piece.endsWith('A') && piece.startsWith('\u001b')) row = Math.max(0, row - Number(piece.slice(2, -1) || 1))
    else if (!piece.startsWith('\u001b')) {
      lines[row] = `${(lines[row] ?? '').padEnd(column).slice(0, column)}${piece}${(lines[row] ?? '').slice(column + 1)}`
      column += 1
    }
  }
  return lines
}

const hide = '\u001b[?25l'
const show = '\u001b[?25h'

/**
 * What is left on the screen: lines without the blanks at their ends, and no empty ones.
 * @throws when the cursor is not visible, the settings are not as before, or a spinner remains
 */
export const leftOn = ({screen, isRestored}: OnTerminal): string => {
  expect(isRestored).toBe(true)
  expect(screen.lastIndexOf(show)).toBeGreaterThanOrEqual(screen.lastIndexOf(hide))
  const lines = linesOf(screen).map((line) => line.trimEnd())
  expect(lines.filter((line) => /[\u2801-\u28ff]/.test(line))).toEqual([])
  return lines.filter((line) => line !== '').join('\n')
}

/** What was written from a text on; the cursor may have been shown once more at the end. */
export const screenFrom = ({screen}: OnTerminal, text: string): string => screen.slice(screen.indexOf(text)).replace(show, '')

const program = String.raw`
import fcntl, json, os, pty, select, signal, struct, sys, termios, time
keys = json.loads(sys.argv[1])
pid, fd = pty.fork()
if pid == 0:
    time.sleep(0.2)
    os.execv(sys.argv[2], sys.argv[2:])
def resize(columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', 30, columns, 0, 0))
resize(100)
before = termios.tcgetattr(fd)
screen = b''
seen = 0
def give_up(*_):
    sys.stdout.write(screen.decode('utf8', 'replace'))
    sys.exit()
signal.signal(signal.SIGTERM, give_up)
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
    if keys and keys[0]['after'].encode() in screen[seen:]:
        act = keys.pop(0)
        seen = len(screen)
        if 'type' in act:
            os.write(fd, act['type'].encode())
        elif 'columns' in act:
            resize(act['columns'])
        else:
            os.kill(pid, getattr(signal, act['signal']))
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
