import {styleText} from 'node:util'

import {mayHaveControls, stripControls} from '../model/strip.ts'
import {write} from './outputs.ts'
import type {Surface} from './surface.ts'

interface OutputChunk {
  readonly stream: 'stdout' | 'stderr'
  readonly chunk: Uint8Array
}

interface Pending {
  readonly vm: string
  readonly stream: OutputChunk['stream']
  /** What came in this turn, printed at its end in as few writes as possible. */
  arrived: Buffer[]
  turn: Promise<void> | undefined
  /** The unfinished last line. */
  held: Buffer
  timer: NodeJS.Timeout | undefined
  /** The beginning of the line was printed already. */
  begun: boolean
}

/** How long an unfinished line, a prompt say, is held back, and how many bytes of one. */
const patience = {ms: 200, bytes: 64 * 2 ** 10} as const

const lineFeed = 0x0a

export interface GuestOutput {
  /** Announces a VM that is worked on. */
  begin(vm: string): void
  /** Resolves when the terminal is ready for more. */
  write(vm: string, output: OutputChunk): Promise<void>
  end(vm: string): void
  close(): void
}

/**
 * Prints what provision steps write, line by line to the stream that they wrote to, with terminal controls removed.
 * When there are several VMs, every line says whose it is. Above rows it is dim, so that one sees what vmctl says.
 */
export const guestOutput = (surface: Pick<Surface, 'isLive' | 'colour' | 'print'>): GuestOutput => {
  const pending = new Map<string, Pending>()
  const seen = new Set<string>()
  const drained: Partial<Record<OutputChunk['stream'], Promise<void> | undefined>> = {}
  let latest: Pending | undefined

  /** Pieces of whole lines; the last may lack its line feed. Returns whether the terminal is ready for more. */
  const print = (line: Pending, pieces: readonly Buffer[]): boolean => {
    const prefix = seen.size > 1 ? `${line.vm.padEnd(Math.max(...[...seen].map(({length}) => length)))} | ` : ''
    const isAbove = surface.isLive && process[line.stream].isTTY
    const {begun} = line
    line.begun = false
    if (prefix === '' && !isAbove && pieces.at(-1)?.at(-1) === lineFeed && !pieces.some(mayHaveControls)) {
      return pieces.map((piece) => process[line.stream].write(piece)).every(Boolean)
    }
    const text = stripControls(Buffer.concat(pieces).toString()).replace(/\n$/, '')
    const lines = `${begun ? '' : prefix}${text.replaceAll('\n', `\n${prefix}`)}`
    if (!isAbove) return process[line.stream].write(`${lines}\n`)
    surface.print(surface.colour ? styleText('dim', lines, {validateStream: false}) : lines)
    return true
  }
  const flush = (line: Pending): void => {
    take(line)
    clearTimeout(line.timer)
    const {held} = line
    line.held = nothing
    if (held.length > 0 || line.begun) print(line, [held])
  }
  /** Shows the beginning of a line that is long in coming. Where lines are read by a program, it must not be cut in two. */
  const show = (line: Pending): void => {
    if (process[line.stream].isTTY) flush(line)
    else if (seen.size === 1) {
      const end = endOfCharacters(line.held)
      process[line.stream].write(stripControls(line.held.toString('utf8', 0, end)))
      line.held = line.held.subarray(end)
      line.begun = true
    }
  }
  /** Prints what has arrived, up to the end of the last line. */
  const take = (line: Pending): void => {
    if (line.arrived.length === 0) return
    clearTimeout(line.timer)
    const {whole, rest} = atLastLine([line.held, ...line.arrived])
    line.arrived = []
    line.turn = undefined
    line.held = Buffer.concat(rest)
    if (whole.length > 0 && !print(line, whole)) awaitDrain(line.stream)
    if (line.held.length > patience.bytes) {
      show(line)
      if (line.held.length > patience.bytes) flush(line)
    } else if (line.held.length > 0) {
      line.timer = setTimeout(() => {
        show(line)
      }, patience.ms)
    }
  }
  const awaitDrain = (stream: OutputChunk['stream']): void => {
    drained[stream] ??= write(process[stream], '').then(() => {
      drained[stream] = undefined
    })
  }
  const flushVm = (vm: string): void => {
    for (const line of pending.values()) if (line.vm === vm) flush(line)
  }

  return {
    begin(vm) {
      seen.add(vm)
    },
    write(vm, {stream, chunk}) {
      const key = `${stream} ${vm}`
      const line = pending.get(key) ?? {vm, stream, arrived: [], turn: undefined, held: nothing, timer: undefined, begun: false}
      pending.set(key, line)
      // What came before stays before it.
      if (latest && latest !== line) take(latest)
      latest = line
      line.arrived.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length))
      line.turn ??= Promise.resolve().then(() => {
        take(line)
        return drained[stream]
      })
      return line.turn
    },
    end(vm) {
      flushVm(vm)
    },
    close() {
      for (const vm of seen) flushVm(vm)
    },
  }
}

const nothing = Buffer.alloc(0)

/** Cuts behind the last line feed. */
const atLastLine = (pieces: readonly Buffer[]): {readonly whole: readonly Buffer[]; readonly rest: readonly Buffer[]} => {
  const last = pieces.findLastIndex((piece) => piece.includes(lineFeed))
  const piece = pieces[last]
  if (!piece) return {whole: [], rest: pieces}
  const end = piece.lastIndexOf(lineFeed) + 1
  const whole = [...pieces.slice(0, last), piece.subarray(0, end)].filter(({length}) => length > 0)
  return {whole, rest: [piece.subarray(end), ...pieces.slice(last + 1)]}
}

/** Where the last character of UTF-8 ends; one that is cut off does not count. */
const endOfCharacters = (bytes: Buffer): number => {
  for (let back = 1; back <= 3; back++) {
    const byte = bytes.at(-back) ?? 0
    if (byte < 0x80) break
    if (byte < 0xc0) continue
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2
    return length > back ? bytes.length - back : bytes.length
  }
  return bytes.length
}
