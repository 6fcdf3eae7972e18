import {StringDecoder} from 'node:string_decoder'

import {stripControls} from '../model/strip.ts'
import type {Spinner} from './spinner.ts'

interface OutputChunk {
  readonly stream: 'stdout' | 'stderr'
  readonly chunk: Uint8Array
}

interface Pending {
  readonly decoder: StringDecoder
  text: string
  timer: NodeJS.Timeout | undefined
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

  const print = (vm: string, stream: OutputChunk['stream'], text: string): boolean => {
    const prefix = seen.size > 1 ? `${vm} | ` : ''
    const lines = stripControls(text).replace(/\n$/, '').split('\n').map((line) => `${prefix}${line}\n`).join('')
    if (spinner.isLive && stream === 'stderr') {
      spinner.print(lines.slice(0, -1))
      return true
    }
    return process[stream].write(lines)
  }
  const flush = (vm: string, stream: OutputChunk['stream']): void => {
    const rest = pending.get(`${stream} ${vm}`)
    if (!rest) return
    clearTimeout(rest.timer)
    if (rest.text !== '') print(vm, stream, rest.text)
    rest.text = ''
  }
  const flushVm = (vm: string): void => {
    flush(vm, 'stdout')
    flush(vm, 'stderr')
  }

  return {
    begin(vm) {
      active.add(vm)
      seen.add(vm)
    },
    async write(vm, {stream, chunk}) {
      const key = `${stream} ${vm}`
      const rest = pending.get(key) ?? {decoder: new StringDecoder('utf8'), text: '', timer: undefined}
      pending.set(key, rest)
      clearTimeout(rest.timer)
      const text = rest.text + rest.decoder.write(Buffer.from(chunk))
      const end = text.lastIndexOf('\n') + 1
      rest.text = text.slice(end)
      if (rest.text !== '') {
        rest.timer = setTimeout(() => {
          flush(vm, stream)
        }, patienceMs)
      }
      if (end === 0 || print(vm, stream, text.slice(0, end))) return
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
