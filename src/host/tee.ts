import {once} from 'node:events'
import {PassThrough, type Readable} from 'node:stream'

/**
 * One input for several readers: each gets every byte. The slowest sets the pace; one that is destroyed is left out, and with
 * the last of them the source is destroyed too. An error of the source destroys all of them with it.
 */
export const tee = (source: Readable, count: number): readonly Readable[] => {
  const readers = Array.from({length: count}, () => new PassThrough())
  for (const reader of readers) {
    // A reader that nobody listens to yet keeps its error until somebody looks.
    reader.on('error', () => undefined)
    reader.once('close', () => {
      if (readers.every(({destroyed}) => destroyed)) source.destroy()
    })
  }
  void copy(source, readers)
  return readers
}

const copy = async (source: Readable, readers: readonly PassThrough[]): Promise<void> => {
  try {
    if (!source.destroyed) for await (const chunk of source) await Promise.all(readers.map((reader) => give(reader, chunk)))
    for (const reader of readers) reader.end()
  } catch (error) {
    for (const reader of readers) if (!reader.destroyed) reader.destroy(error instanceof Error ? error : new Error(String(error)))
  }
}

const give = async (reader: PassThrough, chunk: unknown): Promise<void> => {
  if (reader.destroyed || reader.write(chunk)) return
  const over = new AbortController()
  const ready = (event: string): Promise<unknown> => once(reader, event, {signal: over.signal}).catch(() => undefined)
  await Promise.race([ready('drain'), ready('close')])
  over.abort()
}
