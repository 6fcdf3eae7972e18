import {once} from 'node:events'
import {createReadStream, createWriteStream} from 'node:fs'
import {createServer, type Socket} from 'node:net'
import {basename, join} from 'node:path'
import {Transform} from 'node:stream'
import {pipeline} from 'node:stream/promises'
import {setTimeout as sleep} from 'node:timers/promises'
import {constants, createZstdCompress, createZstdDecompress} from 'node:zlib'

import {remove} from '../../host/durable.ts'
import {connectUnix, listenUnix} from '../../host/sockets.ts'
import {messageOf, systemCode, VmctlError} from '../../model/errors.ts'
import type {Vm} from '../../model/vm.ts'
import {qemuFiles} from './files.ts'
import type {QmpClient} from './qmp.ts'

export const memoryFile = (directory: string): string => join(directory, 'memory.zst')

/** What may be left to transfer while the guest stands still, in bytes: a tenth of a second. */
const littleBytes = 24 * 2 ** 20

/** A guest that writes faster than this host can save is held after so many rounds, or after this time, whatever is left. */
const most = {rounds: 8, ms: 60_000}

const chunkBytes = 2 ** 20

/** The memory of a guest on its way into a file. */
export interface MemoryTransfer extends AsyncDisposable {
  /** Little is left, and no more than that is sent until `finish`. */
  ready(): Promise<void>
  /** The guest stands still: resolves when QEMU has sent all. */
  finish(): Promise<void>
  /** The file is whole. */
  readonly saved: Promise<void>
}

interface Progress {
  readonly status: string
  readonly remaining: number
  readonly rounds: number
  readonly error: string
}

const progressOf = async (qmp: QmpClient): Promise<Progress> => {
  const answer = await qmp.execute('query-migrate')
  const {
    status = '',
    ram,
    'error-desc': error = '',
  } = answer as {
    readonly status?: string
    readonly ram?: {readonly remaining: number; readonly 'dirty-sync-count': number}
    readonly 'error-desc'?: string
  }
  return {status, remaining: ram?.remaining ?? Number.POSITIVE_INFINITY, rounds: ram?.['dirty-sync-count'] ?? 0, error}
}

/** Why QEMU cannot tell the state of this VM, in its words; undefined when it can. */
export const refusalOf = async (qmp: QmpClient): Promise<string | undefined> => {
  const answer = await qmp.execute('query-migrate')
  const {'blocked-reasons': reasons = []} = answer as {readonly 'blocked-reasons'?: readonly string[]}
  return reasons[0]
}

/** 0 is no limit. */
const setPace = (qmp: QmpClient, bytesPerSecond: number): Promise<unknown> =>
  qmp.execute('migrate-set-parameters', {'max-bandwidth': bytesPerSecond, 'downtime-limit': bytesPerSecond === 0 ? longestMs : 0})

/** The most that QEMU takes as `downtime-limit`, in milliseconds. */
const longestMs = 2_000_000

/**
 * Begins to save the memory of a guest, which goes on meanwhile. QEMU connects to a socket of ours: its sandbox lets it start nothing,
 * and no release before 8.2 writes into a file by itself.
 */
export const saveMemory = async (
  {directory}: Pick<Vm, 'directory'>,
  qmp: QmpClient,
  {path, signal}: {readonly path: string; readonly signal: AbortSignal},
): Promise<MemoryTransfer> => {
  const server = createServer()
  const socket = qemuFiles(directory).memorySocket
  await listenUnix(server, socket)
  const over = new AbortController()
  const saved = receive(server, path, AbortSignal.any([signal, over.signal]))
  // Who waits for it comes later.
  saved.catch(() => undefined)
  let isDone = false
  const advance = async (isEnough: (progress: Progress) => boolean): Promise<Progress> => {
    for (;;) {
      signal.throwIfAborted()
      const progress = await progressOf(qmp)
      if (['failed', 'cancelled', 'cancelling'].includes(progress.status)) throw notSaved(progress.error || progress.status)
      if (isEnough(progress)) return progress
      await sleep(5)
    }
  }
  const dispose = async (): Promise<void> => {
    server.close()
    await remove(socket)
    if (isDone) return
    await qmp.execute('migrate_cancel').catch(() => undefined)
    over.abort()
    await saved.catch(() => undefined)
  }
  try {
    await qmp.execute('migrate-set-capabilities', {capabilities: [{capability: 'pause-before-switchover', state: true}]})
    await setPace(qmp, fullPace)
    await qmp.execute('migrate', {uri: `unix:${basename(socket)}`})
  } catch (error) {
    await dispose()
    throw error
  }
  return {
    saved,
    async ready() {
      const deadline = performance.now() + most.ms
      await advance(
        ({status, remaining, rounds}) =>
          status === 'pre-switchover' ||
          (status === 'active' && (remaining < littleBytes || rounds > most.rounds)) ||
          performance.now() > deadline,
      )
      // Else an idle guest would be through before the others of its stack are ready, and stand still.
      await setPace(qmp, 1000)
    },
    async finish() {
      await setPace(qmp, 0)
      const {status} = await advance((progress) => ['pre-switchover', 'completed'].includes(progress.status))
      if (status === 'pre-switchover') {
        await qmp.execute('migrate-continue', {state: 'pre-switchover'})
        await advance((progress) => progress.status === 'completed')
      }
      isDone = true
    },
    [Symbol.asyncDispose]: dispose,
  }
}

/** Bytes per second, more than any host moves; the default of QEMU is 128 MiB. With a limit a migration does not end by itself. */
const fullPace = 2 ** 40

const notSaved = (reason: string): VmctlError =>
  new VmctlError('vmctl::snapshot::unsupported', `The memory of the guest cannot be saved: ${reason}.`)

const receive = async (server: ReturnType<typeof createServer>, path: string, signal: AbortSignal): Promise<void> => {
  const [connection] = (await once(server, 'connection', {signal})) as [Socket]
  const params = {[constants.ZSTD_c_compressionLevel]: 1, [constants.ZSTD_c_checksumFlag]: 1}
  // It holds all secrets of the guest.
  const file = createWriteStream(path, {mode: 0o600, flags: 'wx', highWaterMark: 8 * chunkBytes})
  await pipeline(connection, buffered(), createZstdCompress({params, chunkSize: chunkBytes}), file, {signal})
}

/** Takes what a guest that stands still has to say as fast as it comes, to be compressed when it runs again. */
const buffered = (): Transform =>
  new Transform({
    readableHighWaterMark: 4 * littleBytes,
    transform(chunk: Buffer, _encoding, done) {
      done(null, chunk)
    },
  })

/** Fills the memory of a QEMU that was started with `-incoming defer`, and which stands still. */
export const loadMemory = async (
  {directory}: Pick<Vm, 'directory'>,
  qmp: QmpClient,
  {path, signal}: {readonly path: string; readonly signal: AbortSignal},
): Promise<void> => {
  const socket = qemuFiles(directory).memorySocket
  await remove(socket)
  try {
    await qmp.execute('migrate-incoming', {uri: `unix:${basename(socket)}`})
    const connection = await connectUnix(socket, signal)
    try {
      await pipeline(createReadStream(path, {highWaterMark: chunkBytes}), createZstdDecompress({chunkSize: chunkBytes}), connection, {
        signal,
      })
    } catch (error) {
      signal.throwIfAborted()
      // QEMU hangs up on what it does not understand, and on what it has read to its end, which may be before the farewell of this side
      // is through; it says itself which of them it was.
      if (!['EPIPE', 'ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE'].includes(systemCode(error) ?? '')) throw error
    }
    for (;;) {
      signal.throwIfAborted()
      const {status, error} = await progressOf(qmp)
      if (status === 'completed') return
      if (status === 'failed') throw new Error(error || 'QEMU does not say why')
      await sleep(5)
    }
  } catch (error) {
    signal.throwIfAborted()
    throw new VmctlError('vmctl::snapshot::damaged', `The memory of the guest cannot be loaded: ${messageOf(error)}.`, {
      help: 'The VM is stopped, and its disks are those of the snapshot. Boot from them with `--disk-only`.',
      cause: error,
    })
  } finally {
    await remove(socket)
  }
}
