import {StringDecoder} from 'node:string_decoder'

import {stripControls} from '../model/strip.ts'
import type {Spinner} from './spinner.ts'

interface OutputChunk {
  readonly stream: 'stdout' | 'stderr'
  readonly chunk: Uint8Array
}

interface Pending {
  readonly vm: string
  readonly stream: OutputChunk['stream']
  readonly decoder: StringDecoder
  text: string
  timer: NodeJS.Timeout | undefined
  /** The beginning of the line was printed already. */
  begun: boolean
}

/** How long an unfinished line, a prompt say, is held back. */
const patienceMs = 200

export interface GuestOutput {
  begin(vm: string): void
  /** Resolves when the terminal is ready for more. */
  write(vm: string, output: OutputChunk): Promise<void>
  end(vm: string): void
  close(): void
}

/**
 * Prints what provision steps write, line by line to the stream that they wrote to, with terminal controls removed.
 * As soon as a second VM provisions at the same time, every line says whose it is.
 */
export const guestOutput = (spinner: Spinner): GuestOutput => {
  const pending = new Map<string, Pending>()
  const active = new Set<string>()
  const seen = new Set<string>()

  const print = (line: Pending, text: string): boolean => {
    const prefix = seen.size > 1 ? `${line.vm} | ` : ''
    const lines = stripControls(text)
      .replace(/\n$/, '')
      .split('\n')
      .map((one, index) => `${index === 0 && line.begun ? '' : prefix}${one}\n`)
      .join('')
    line.begun = false
    if (spinner.isLive && line.stream === 'stderr') {
      spinner.print(lines.slice(0, -1))
      return true
    }
    return process[line.stream].write(lines)
  }
  const flush = (line: Pending): void => {
    clearTimeout(line.timer)
    if (line.text !== '' || line.begun) print(line, line.text)
    line.text = ''
  }
  /** Shows the beginning of a line that is long in coming. Where lines are read by a program, it must not be cut in two. */
  const show = (line: Pending): void => {
    if (process[line.stream].isTTY) flush(line)
    else if (seen.size === 1) {
      process[line.stream].write(stripControls(line.text))
      line.text = ''
      line.begun = true
    }
  }
  const flushVm = (vm: string): void => {
    for (const line of pending.values()) if (line.vm === vm) flush(line)
  }

  return {
    begin(vm) {
      active.add(vm)
      seen.add(vm)
    },
    async write(vm, {stream, chunk}) {
      const key = `${stream} ${vm}`
      const line = pending.get(key) ?? {vm, stream, decoder: new StringDecoder('utf8'), text: '', timer: undefined, begun: false}
      pending.set(key, line)
      clearTimeout(line.timer)
      const text = line.text + line.decoder.write(Buffer.from(chunk))
      const end = text.lastIndexOf('\n') + 1
      line.text = text.slice(end)
      if (line.text !== '') {
        line.timer = setTimeout(() => {
          show(line)
        }, patienceMs)
      }
      if (end === 0 || print(line, text.slice(0, end))) return
      await new Promise<void>((resolve) => {
        process[stream].once('drain', resolve)
      })
    },
    end(vm) {
      flushVm(vm)
      active.delete(vm)
    },
    close() {
      for (const vm of seen) flushVm(vm)
    },
  }
}
