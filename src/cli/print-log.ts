import {StringDecoder} from 'node:string_decoder'

import type {LogFile, LogName} from '../engine/show/logs.ts'
import {stripControls} from '../model/strip.ts'
import {write} from './outputs.ts'

const emptyLog: Readonly<Record<LogName, string>> = {
  console: 'the guest wrote nothing to its serial port',
  provision: 'no step has written anything yet',
}

type Read = (path: string, follow: boolean) => AsyncIterable<Buffer>

/** Prints logs one after the other under a header each; with `follow` all at once, each line as it comes. */
export const printLog = async (logs: readonly LogFile[], read: Read, {follow}: {follow: boolean}): Promise<void> => {
  let lastByte = 0x0a
  const printOne = async ({log, path, exists}: LogFile): Promise<void> => {
    // A guest that was ended in the middle of a line must not swallow the header.
    if (lastByte !== 0x0a) process.stdout.write('\n')
    lastByte = 0x0a
    if (logs.length > 1 || !exists) process.stdout.write(`=== ${log} log (${path}) ===\n`)
    if (!exists && !follow) {
      process.stdout.write(`(not found: nothing was written yet)\n`)
      return
    }
    let isEmpty = true
    for await (const text of follow ? wholeLines(read(path, true)) : read(path, false)) {
      isEmpty = false
      lastByte = text.at(-1) ?? lastByte
      await print(text)
    }
    if (isEmpty && !follow) process.stdout.write(`(empty: ${emptyLog[log]})\n`)
  }
  if (follow) await Promise.all(logs.map(printOne))
  else for (const log of logs) await printOne(log)
}

async function* wholeLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const decoder = new StringDecoder('utf8')
  let rest = ''
  for await (const chunk of chunks) {
    rest += decoder.write(chunk)
    const end = rest.lastIndexOf('\n') + 1
    if (end > 0) yield Buffer.from(rest.slice(0, end))
    rest = rest.slice(end)
  }
  if (rest !== '') yield Buffer.from(rest)
}

/** A guest must not move the cursor of the terminal; a file or a pipe gets the bytes as they are. */
const print = (chunk: Buffer): Promise<void> => write(process.stdout, process.stdout.isTTY ? stripControls(chunk.toString()) : chunk)
