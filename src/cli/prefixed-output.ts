import {StringDecoder} from 'node:string_decoder'

import {stripControls} from '../model/strip.ts'
import {write} from './outputs.ts'

export interface PrefixedOutput {
  /** Resolves when the terminal is ready for more. */
  write(name: string, stream: 'stdout' | 'stderr', chunk: Buffer): Promise<void>
  /** Prints the last line of each that has no end. */
  close(): void
}

/** Whole lines of several VMs, each behind the name of its VM; terminal controls of the guests are removed. */
export const prefixedOutput = (names: readonly string[]): PrefixedOutput => {
  const width = Math.max(0, ...names.map((name) => name.length))
  const pending = new Map<string, {name: string; stream: 'stdout' | 'stderr'; decoder: StringDecoder; rest: string}>()
  const shown = (name: string, text: string): string =>
    stripControls(text)
      .replace(/\n$/, '')
      .split('\n')
      .map((line) => `${name.padEnd(width)} | ${line}\n`)
      .join('')
  return {
    async write(name, stream, chunk) {
      const key = `${stream} ${name}`
      const line = pending.get(key) ?? {name, stream, decoder: new StringDecoder('utf8'), rest: ''}
      pending.set(key, line)
      const text = line.rest + line.decoder.write(chunk)
      const end = text.lastIndexOf('\n') + 1
      line.rest = text.slice(end)
      if (end > 0) await write(process[stream], shown(name, text.slice(0, end)))
    },
    close() {
      for (const {name, stream, rest} of pending.values()) if (rest !== '') process[stream].write(shown(name, rest))
      pending.clear()
    },
  }
}
