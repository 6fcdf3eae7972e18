import {constants, type FileHandle, open} from 'node:fs/promises'
import {dirname} from 'node:path'

import {remove, rename, syncDirectory} from '../host/durable.ts'
import {ioError, temporaryPath} from '../host/files.ts'
import {lastLines} from '../host/process.ts'
import {clean} from '../model/any-shell.ts'
import {VmctlError} from '../model/errors.ts'
import {quoteAll} from '../model/quote.ts'
import {stripControls} from '../model/strip.ts'
import type {ExecExit, ExecOptions, GuestConnection} from './ssh/connection.ts'
import {elevate} from '../model/elevate.ts'

export interface TransferOptions {
  /** Permission bits of the copy; those of the original when absent. */
  readonly mode?: number
  /** Work as root in the guest. */
  readonly privileged?: boolean
  /** Called with the number of bytes so far. */
  readonly onProgress?: (bytes: number) => void
  readonly signal?: AbortSignal | undefined
}

export interface UploadOptions extends TransferOptions {
  /** `user`, `user:group` or `:group`, as chown(1) takes it; the user who works when absent. */
  readonly owner?: string
}

type Execute = Pick<GuestConnection, 'exec'>

/**
 * The guest's side of an upload, for any POSIX shell. All bytes, owner and mode come together in a private directory beside
 * the destination, and only then the rename; it ends in one of two states. Whoever else may write to that place can move
 * the private directory but not look or reach into it: it is entered once, and from then on only named by `.` and `..`.
 */
const receive = `d=$1 size=$2 mode=$3 owner=$4
fail() { echo "$1" >&2; exit 1; }
name=\${d##*/}; parent=\${d%/*}/
[ -n "$name" ] || fail "$d is not the name of a file"
[ ! -d "$d" ] || fail "$d is a directory"
[ -d "$parent" ] || (umask 022; mkdir -p "$parent") || exit 1
umask 077
cd "$parent" || exit 1
here=$(pwd -P; echo .); here=\${here%??}
stage=$(mktemp -d ./.vmctl-XXXXXXXXXX) && cd "$stage" || exit 1
trap 'rm -f "./$name"; cd .. && rmdir "$stage" 2>/dev/null' EXIT
trap 'exit 1' HUP INT TERM PIPE
[ "$(pwd -P)" = "\${here%/}/\${stage#./}" ] || fail "$parent changed meanwhile"
cat >"./$name" || exit 1
count=$(($(wc -c <"./$name")))
[ "$count" -eq "$size" ] || fail "$count of $size bytes arrived"
[ -z "$owner" ] || chown "$owner" "./$name" || exit 1
chmod "$mode" "./$name" || exit 1
mv -f "./$name" .. || exit 1
sync`

/**
 * Copies a local file into the guest as a whole: a reader there sees the old file or the new one, never a part.
 * It goes through the shell, not SFTP: that is faster, and works as root and where there is no SFTP server.
 * A relative `remotePath` starts at the user's home; a symbolic link is replaced, not followed. Directories that are missing
 * above it are made with mode 0755, and belong to whoever works.
 * @throws VmctlError `vmctl::io` (local), `vmctl::guest::copy_failed` (guest), `vmctl::ssh::connection_lost`
 */
export const upload = async (guest: Execute, localPath: string, remotePath: string, options: UploadOptions = {}): Promise<void> => {
  const destination = shellPath(remotePath)
  const {handle, size, mode} = await openForUpload(localPath)
  try {
    let sent = 0
    const stdin =
      size === 0 ? undefined : handle.createReadStream({start: 0, end: size - 1, highWaterMark: 256 * 2 ** 10, autoClose: false})
    stdin?.on('data', (chunk) => options.onProgress?.((sent += chunk.length)))
    stdin?.pause()
    const permissions = (options.mode ?? mode).toString(8)
    const command = ['sh', '-c', receive, 'sh', destination, String(size), permissions, options.owner ?? '']
    const {exit, stderr} = await perform(guest, command, options, stdin ? {stdin} : {})
    if (exit.code !== 0) throw failed(`upload ${localPath} to ${remotePath}`, exit, stderr)
  } finally {
    await handle.close()
  }
}

// The permissions travel as `ls` writes them: stat(1) is different on every system.
const send = `f=$1
[ ! -d "$f" ] || { echo "$f is a directory" >&2; exit 1; }
ls -ldL "$f" | cut -c 1-10 >&2 && exec cat "$f"`

/**
 * Copies a file of the guest to a local path, as a whole: the local file is replaced when all has arrived.
 * @throws VmctlError as `upload`
 */
export const download = async (guest: Execute, remotePath: string, localPath: string, options: TransferOptions = {}): Promise<void> => {
  const temporary = temporaryPath(localPath)
  let handle: FileHandle | undefined
  try {
    const file = await open(temporary, 'wx', 0o600).catch((error: unknown) => {
      throw ioError('write', localPath, error)
    })
    handle = file
    let received = 0
    let written = 0
    const onStdout = async (chunk: Buffer): Promise<void> => {
      const at = received
      received += chunk.length
      await writeAt(file, chunk, at).catch((error: unknown) => {
        throw ioError('write', localPath, error)
      })
      options.onProgress?.((written += chunk.length))
    }
    const {exit, stderr} = await perform(guest, ['sh', '-c', send, 'sh', shellPath(remotePath)], options, {onStdout, aheadBytes})
    if (exit.code !== 0) throw failed(`download ${remotePath} to ${localPath}`, exit, stderr)
    await handle.chmod(options.mode ?? modeOf(stderr))
    await handle.sync()
    await handle.close()
    handle = undefined
    await rename(temporary, localPath)
    await syncDirectory(dirname(localPath))
  } finally {
    await handle?.close().catch(() => undefined)
    await remove(temporary)
  }
}

/** Bytes of a download that may be on their way to the disk before the guest has to wait. */
const aheadBytes = 4 * 2 ** 20

const writeAt = async (file: FileHandle, chunk: Buffer, at: number): Promise<void> => {
  for (let done = 0; done < chunk.length;) done += (await file.write(chunk, done, chunk.length - done, at + done)).bytesWritten
}

const perform = async (
  guest: Execute,
  words: readonly string[],
  {privileged, signal}: TransferOptions,
  streams: Pick<ExecOptions, 'stdin' | 'onStdout' | 'aheadBytes'>,
): Promise<{readonly exit: ExecExit; readonly stderr: string}> => {
  let stderr = ''
  const command = quoteAll(words)
  const exit = await guest.exec(clean(privileged ? elevate(command) : command), {
    ...streams,
    signal,
    onStderr: (chunk) => {
      stderr = (stderr + chunk.toString()).slice(-4096)
    },
  })
  return {exit, stderr}
}

const failed = (action: string, exit: ExecExit, stderr: string): VmctlError =>
  new VmctlError(
    'vmctl::guest::copy_failed',
    `Cannot ${action}: ${lastLines(stripControls(stderr), 3) || `the shell in the guest ended with ${exit.code ?? exit.signal}`}`,
  )

const openForUpload = async (path: string): Promise<{handle: FileHandle; size: number; mode: number}> => {
  let handle: FileHandle | undefined
  try {
    // A pipe that nobody writes to would never open.
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    const stat = await handle.stat()
    if (!stat.isFile()) throw new Error('it is not a file')
    return {handle, size: stat.size, mode: stat.mode & 0o777}
  } catch (error) {
    await handle?.close()
    throw ioError('read', path, error)
  }
}

/** A path that no program takes for an option. */
const shellPath = (path: string): string => (path.startsWith('/') ? path : `./${path}`)

/** `-rwxr-xr-x` as numbers; set-ID bits do not travel. */
const modeOf = (listing: string): number => {
  const letters = /^.([r-][w-][xsS-][r-][w-][xsS-][r-][w-][xtT-])/m.exec(listing)?.[1] ?? 'rw-------'
  return letters.split('').reduce((mode, letter, index) => (/[rwxst]/.test(letter) ? mode | (0o400 >> index) : mode), 0)
}
