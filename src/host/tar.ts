/** What a header says; a directory's name needs no slash. */
export interface TarEntry {
  readonly name: string
  readonly type: 'file' | 'directory' | 'symlink'
  /** Permission bits. */
  readonly mode: number
  readonly size: number
  readonly target?: string
}

/** Archives are written into blocks of this size, in bytes. */
const blockBytes = 512 * 2 ** 10

/** tar(5): headers and contents begin at multiples of it. */
const unit = 512

const typeFlags = {file: '0', symlink: '2', directory: '5'} as const

/**
 * Writes a tar archive into blocks of memory, which go on as they are: no copy and no stream for each entry. The format is
 * that of GNU tar (GNU tar manual, "Basic Tar Format"), whose long names BusyBox and libarchive read as well. Everything
 * belongs to root and is of now.
 */
export class TarWriter {
  readonly #full: Buffer[] = []
  readonly #spare: Buffer[] = []
  readonly #template: Buffer
  #block: Buffer = Buffer.allocUnsafeSlow(blockBytes)
  #used = 0

  /** @param seconds when everything was changed last, since 1970; now when absent */
  constructor(seconds = Math.floor(Date.now() / 1000)) {
    const template = Buffer.alloc(unit)
    template.write('0000000\0'.repeat(2), 108)
    template.write(octal(seconds, 12), 136)
    template.write('ustar  \0root', 257)
    template.write('root', 297)
    this.#template = template
  }

  /** Begins an entry; the `size` bytes of a file are to follow. */
  entry({name, type, mode, size, target = ''}: TarEntry): void {
    const [nameBytes, targetBytes] = [Buffer.from(name), Buffer.from(target)]
    // The longest that a header has room for; a longer one goes before it, as the content of an entry of its own.
    if (targetBytes.length > 100) this.#longName('K', targetBytes)
    if (nameBytes.length > 100) this.#longName('L', nameBytes)
    this.#header({name: nameBytes, target: targetBytes, mode, size: type === 'file' ? size : 0, flag: typeFlags[type]})
  }

  /** Room for the whole content of a file, of at most 256 KiB, for the caller to fill; it has a byte more, which does not count. */
  room(size: number): Buffer {
    const room = this.#reserve(padded(size) + unit)
    this.#used -= unit
    room.fill(0, size)
    return room.subarray(0, size + 1)
  }

  /** A part of the content of a file, followed by `pad` when it was the last. */
  write(chunk: Uint8Array): void {
    this.#reserve(chunk.length).set(chunk)
  }

  /** Ends the content of a file of this size that was given to `write`. */
  pad(size: number): void {
    this.#reserve(padded(size) - size).fill(0)
  }

  end(): void {
    this.#reserve(2 * unit).fill(0)
    this.#finishBlock()
  }

  get hasFull(): boolean {
    return this.#full.length > 0
  }

  /** A block that is full, once. */
  take(): Buffer | undefined {
    return this.#full.shift()
  }

  /** Gives back a block that nobody needs any more. */
  giveBack(block: Buffer): void {
    this.#spare.push(Buffer.from(block.buffer, 0, blockBytes))
  }

  #longName(flag: 'K' | 'L', name: Buffer): void {
    // It ends in NUL, which counts.
    const size = name.length + 1
    this.#header({name: Buffer.from('../@LongLink'), target: Buffer.alloc(0), mode: 0, size, flag})
    const room = this.room(size)
    room.fill(0)
    room.set(name)
  }

  #header(entry: {
    readonly name: Buffer
    readonly target: Buffer
    readonly mode: number
    readonly size: number
    readonly flag: string
  }): void {
    const header = this.#reserve(unit)
    header.set(this.#template)
    header.set(entry.name.subarray(0, 100))
    header.write(octal(entry.mode, 8), 100, 'latin1')
    if (entry.size < 8 ** 11) header.write(octal(entry.size, 12), 124, 'latin1')
    else {
      // Base 256 with the top bit set, for what eleven octal digits cannot say.
      header.writeUInt32BE(0x8000_0000, 124)
      header.writeBigUInt64BE(BigInt(entry.size), 128)
    }
    header.write(entry.flag, 156, 'latin1')
    header.set(entry.target.subarray(0, 100), 157)
    let sum = 0
    // By index: an iterator costs eight times as much.
    for (let at = 0; at < unit; at++) sum += header[at] ?? 0
    // The field itself counts as eight blanks.
    header.write(`${(sum + 8 * 32).toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  }

  #reserve(bytes: number): Buffer {
    if (this.#used + bytes > blockBytes) this.#finishBlock()
    const room = this.#block.subarray(this.#used, this.#used + bytes)
    this.#used += bytes
    return room
  }

  #finishBlock(): void {
    if (this.#used > 0) this.#full.push(this.#block.subarray(0, this.#used))
    this.#block = this.#spare.pop() ?? Buffer.allocUnsafeSlow(blockBytes)
    this.#used = 0
  }
}

const padded = (size: number): number => Math.ceil(size / unit) * unit

const octal = (value: number, width: number): string => `${value.toString(8).padStart(width - 1, '0')}\0`
