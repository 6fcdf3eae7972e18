import {open, stat} from 'node:fs/promises'
import {setTimeout as sleep} from 'node:timers/promises'

import {ioError} from '../../host/files.ts'
import {vmFiles} from '../../model/layout.ts'
import {requireVm} from '../../store/store.ts'
import type {Vm} from '../../model/vm.ts'
import {type Engine, hypervisorOf} from '../engine.ts'
import {consoleLogOf} from '../reach/console-log.ts'

export type LogName = 'console' | 'provision'

export interface LogFile {
  readonly vm: string
  readonly log: LogName
  readonly path: string
  readonly exists: boolean
}

/** How often a console that is elsewhere is looked at, for who follows its log. */
const lookMs = 2000

/**
 * Where the logs of a VM are. Whoever follows them has that of a console that is elsewhere brought here, again and again, until the
 * engine's signal is aborted.
 */
export const logFiles = async (engine: Engine, name: string, {follow = false} = {}): Promise<LogFile[]> => {
  const vm = await requireVm(engine.store, name)
  const paths = {console: await consoleLogOf(engine, vm), provision: vmFiles(vm.directory).provisionLog}
  if (follow && (await hypervisorOf(engine, vm)).fetchConsole) void keepFetching(engine, vm)
  return Promise.all(
    (['console', 'provision'] as const).map(async (log) => ({
      vm: name,
      log,
      path: paths[log],
      exists: await stat(paths[log]).then(
        () => true,
        () => false,
      ),
    })),
  )
}

const keepFetching = async (engine: Engine, vm: Vm): Promise<void> => {
  while (!engine.signal.aborted) {
    await sleep(lookMs, undefined, {signal: engine.signal, ref: false}).catch(() => undefined)
    await consoleLogOf(engine, vm).catch(() => undefined)
  }
}

const blockBytes = 64 * 1024

/** Byte offset at which the last `lines` lines of a file begin; 0 lines means all. */
const startOfTail = async (path: string, lines: number): Promise<number> => {
  if (lines === 0) return 0
  const handle = await open(path, 'r')
  try {
    const {size} = await handle.stat()
    const buffer = Buffer.alloc(blockBytes)
    let missing = lines
    for (let end = size; end > 0;) {
      const start = Math.max(0, end - blockBytes)
      const {bytesRead} = await handle.read(buffer, 0, end - start, start)
      for (let index = bytesRead - 1; index >= 0; index--) {
        // A line feed at the very end closes the last line; it does not begin another.
        if (buffer[index] !== 0x0a || start + index === size - 1) continue
        missing -= 1
        if (missing === 0) return start + index + 1
      }
      end = start
    }
    return 0
  } finally {
    await handle.close()
  }
}

export interface ReadLogOptions {
  /** Last lines only; 0 for all. */
  readonly tail: number
  /** Goes on with what is appended, until the signal is aborted. */
  readonly follow: boolean
  readonly signal: AbortSignal
}

/** The bytes of a log file as they are. A file that shrinks was begun anew and is read from its start. */
export async function* readLog(path: string, {tail, follow, signal}: ReadLogOptions): AsyncGenerator<Buffer> {
  let offset = 0
  try {
    offset = await startOfTail(path, tail)
  } catch (error) {
    if (!follow) throw ioError('read', path, error)
  }
  for (;;) {
    for await (const chunk of readFrom(path, offset)) {
      offset += chunk.length
      yield chunk
    }
    if (!follow || signal.aborted) return
    await sleep(200, undefined, {signal}).catch(() => undefined)
    if (signal.aborted) return
    const size = await stat(path).then(
      (info) => info.size,
      () => 0,
    )
    if (size < offset) offset = 0
  }
}

async function* readFrom(path: string, offset: number): AsyncGenerator<Buffer> {
  const handle = await open(path, 'r').catch(() => undefined)
  if (!handle) return
  try {
    for (let position = offset; ;) {
      const {bytesRead, buffer} = await handle.read(Buffer.alloc(blockBytes), 0, blockBytes, position)
      if (bytesRead === 0) return
      position += bytesRead
      yield buffer.subarray(0, bytesRead)
    }
  } finally {
    await handle.close()
  }
}
