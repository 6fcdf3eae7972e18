import {hash} from 'node:crypto'
import {createReadStream} from 'node:fs'
import {basename, join} from 'node:path'
import type {Readable, Transform} from 'node:stream'
import {setImmediate as nextTurn} from 'node:timers/promises'
import {constants, createGzip, createZstdCompress} from 'node:zlib'

import {ioError} from '../../host/files.ts'
import {quote, quoteAll} from '../../model/quote.ts'
import {TarWriter} from '../../host/tar.ts'
import type {TreeChanges} from './tree-plan.ts'
import {batches, isEscaped, type Survey} from './tree-survey.ts'
import {changedMeanwhile, type HashedEntry, readSmallFile, smallFileBytes} from './tree.ts'

interface ShipmentOptions {
  readonly owner?: string | undefined
  /** Of all files that are to be sent. */
  readonly bytes: number
  readonly compression: Survey['compression']
  /** Called with the bytes of the files that were sent so far, and of all. */
  readonly onProgress?: ((bytes: number, total: number) => void) | undefined
}

/** What is hashed in the guest in one go: the last of it when everything has arrived, all before it meanwhile. */
export const part = {files: 500, bytes: 8 * 2 ** 20} as const

/**
 * The compressed stream: the entries below `tree/`, between them `sums1`, `sums2`, … with the hashes of the files since the one
 * before, and last `plan`, which says what to do with them.
 */
export const shipment = (source: string, changes: TreeChanges, {bytes, compression, owner, onProgress}: ShipmentOptions): Readable => {
  const compressor = compressors[compression]()
  let sent = 0
  const tar = new TarWriter()
  const blocks = archive({tar, source}, changes, {owner, sent: (size) => onProgress?.((sent += size), bytes)})
  compress(tar, blocks, compressor).catch((error: Error) => compressor.destroy(error))
  return compressor
}

/** One block is compressed while the next is filled. */
const compress = async (tar: TarWriter, blocks: AsyncIterable<Buffer>, compressor: Transform): Promise<void> => {
  let last = Promise.resolve()
  for await (const block of blocks) {
    await last
    last = new Promise((resolve, reject) => {
      compressor.write(block, (error) => {
        tar.giveBack(block)
        if (error) reject(error)
        else resolve()
      })
    })
    last.catch(() => undefined)
  }
  await last
  compressor.end()
}

const compressors = {
  gzip: () => createGzip({level: 1, chunkSize: chunkBytes}),
  zstd: () => createZstdCompress({params: {[constants.ZSTD_c_compressionLevel]: 1}, chunkSize: chunkBytes}),
}

const archive = async function* (
  {tar, source}: {readonly tar: TarWriter; readonly source: string},
  changes: TreeChanges,
  {owner, sent}: {readonly owner: string | undefined; readonly sent: (bytes: number) => void},
): AsyncGenerator<Buffer> {
  const sums = checksums(tar)
  // A turn for the compressor and the connection after each block.
  const full = async function* (): AsyncGenerator<Buffer> {
    for (let block = tar.take(); block; block = tar.take()) {
      yield block
      await nextTurn()
    }
  }
  for (const entry of changes.send) {
    const {name, type, size, sha256} = entry
    const path = join(source, name)
    tar.entry({...entry, name: `tree/${name}`, mode: stagedMode(entry)})
    if (type === 'file' && size <= smallFileBytes) {
      const content = readSmallFile(path, tar.room(size))
      sums.add(entry, sha256 ?? hash('sha256', content))
    } else if (type === 'file') {
      for await (const chunk of contentOf(path, size)) {
        tar.write(chunk)
        yield* full()
      }
      tar.pad(size)
      sums.add(entry, sha256 ?? '')
    }
    sent(size)
    if (tar.hasFull) yield* full()
  }
  const alone = sums.end()
  addText(tar, 'plan', planProgram(changes, alone, owner))
  tar.end()
  yield* full()
}

/** Writes the hashes of files into the archive, part by part. The end gives those of names that `sha256sum -c` would not understand. */
const checksums = (tar: TarWriter) => {
  const alone = new Map<string, string>()
  let lines: string[] = []
  let bytes = 0
  let count = 0
  const endPart = (): void => {
    if (lines.length > 0) addText(tar, `sums${++count}`, lines.join(''))
    lines = []
    bytes = 0
  }
  return {
    add({name, size}: HashedEntry, sha256: string): void {
      if (isEscaped(name)) alone.set(name, sha256)
      else lines.push(`${sha256}  ./${name}\n`)
      bytes += size
      if (lines.length === part.files || bytes >= part.bytes) endPart()
    },
    end(): ReadonlyMap<string, string> {
      endPart()
      return alone
    },
  }
}

const addText = (tar: TarWriter, name: string, text: string): void => {
  const content = Buffer.from(text)
  tar.entry({name, type: 'file', mode: 0o600, size: content.length})
  for (let at = 0; at < content.length; at += chunkBytes) tar.write(content.subarray(at, at + chunkBytes))
  tar.pad(content.length)
}

/** The content of a large file, which must have just this size. */
async function* contentOf(path: string, size: number): AsyncGenerator<Buffer> {
  let length = 0
  try {
    for await (const chunk of createReadStream(path, {highWaterMark: chunkBytes}) as AsyncIterable<Buffer>) {
      length += chunk.length
      if (length > size) break
      yield chunk
    }
  } catch (error) {
    throw ioError('read', path, error)
  }
  if (length !== size) throw changedMeanwhile(path)
}

/** Whoever unpacks must be able to look at what he has unpacked; the real mode comes at the very end. */
const stagedMode = ({type, mode}: Pick<HashedEntry, 'type' | 'mode'>): number => (mode & 0o777) | (type === 'directory' ? 0o700 : 0o400)

const chunkBytes = 128 * 2 ** 10

/** Calls of the functions of unpack-tree.sh, in the order in which they have to happen. */
const planProgram = (changes: TreeChanges, hashes: ReadonlyMap<string, string>, owner: string | undefined): string => {
  const {send, move, clear, modes, owners, remove} = changes
  const verify = [...hashes].map(([name, sha256]) => `verify ${sha256} ${words([name])}`)
  // The deepest first: a directory may take the right to go into it.
  const finalModes = [...modes, ...send.filter((entry) => entry.type !== 'symlink' && stagedMode(entry) !== entry.mode)].toReversed()
  return [
    ...verify,
    ...calls('clear', clear),
    ...perDirectory(move).map(
      ([directory, names]) => `move ${quote(directory)} ${names.map((name) => `"$staged"/${quote(name)}`).join(' ')}`,
    ),
    ...(owner === undefined ? [] : calls('own', owners)),
    ...calls('clear', remove),
    ...runsOf(finalModes),
    '',
  ].join('\n')
}

/** Names in portions that are in one directory and one argument list each. The top is the empty name. */
const perDirectory = (names: readonly string[]): (readonly [directory: string, names: readonly string[]])[] =>
  [...Map.groupBy(names, directoryOf)].flatMap(([directory, below]) => batches(below).map((batch) => [directory, batch] as const))

const directoryOf = (name: string): string => name.slice(0, Math.max(0, name.lastIndexOf('/')))

const calls = (command: string, names: readonly string[]): string[] =>
  perDirectory(names).map(([directory, batch]) => `${command} ${quote(directory)} ${words(batch.map((name) => basename(name)))}`)

/** Neighbours with the same mode in the same directory together, in their order. */
const runsOf = (entries: readonly HashedEntry[]): string[] => {
  const runs: {mode: number; directory: string; names: string[]}[] = []
  for (const {mode, name} of entries) {
    const directory = directoryOf(name)
    const last = runs.at(-1)
    if (last?.mode === mode && last.directory === directory) last.names.push(name)
    else runs.push({mode, directory, names: [name]})
  }
  return runs.flatMap(({mode, names}) => calls(`mode ${mode.toString(8)}`, names))
}

const words = (names: readonly string[]): string => quoteAll(names.map((name) => `./${name}`))
