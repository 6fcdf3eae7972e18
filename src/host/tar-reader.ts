/** A damaged archive, or one that says something which this reader does not take at its word. */
export class TarError extends Error {}

export interface TarMember {
  readonly name: string
  readonly type: 'file' | 'directory' | 'symlink' | 'link'
  readonly mode: number
  /** Where a link leads. */
  readonly target: string
  /** The bytes of a file, once; what is not taken is passed over. */
  readonly content: AsyncIterable<Buffer>
}

/** tar(5): headers and contents begin at multiples of it. */
const unit = 512

/** Bytes of a long name or of extended attributes; Linux has no path of more than 4096. */
const extensionLimit = 2 ** 20

/** Zeros after the end, with which tar fills its last block. */
const paddingLimit = 2 ** 20

const types: Readonly<Record<string, TarMember['type']>> = {
  '\0': 'file',
  0: 'file',
  1: 'link',
  2: 'symlink',
  5: 'directory',
  7: 'file',
}
const special: Readonly<Record<string, string>> = {3: 'a character device', 4: 'a block device', 6: 'a pipe', S: 'a sparse file'}

type Attributes = Readonly<Record<string, string>>

export interface TarOptions {
  /** Whether files with holes as GNU tar writes them (`-S`) are taken: a short archive can be a long file then. */
  readonly sparse?: boolean
}

/**
 * Reads a tar archive: ustar, with the extensions of POSIX (pax) and of GNU for long names and large files. It takes no more
 * memory than a name needs, and an archive without its end for a cut one.
 * @throws TarError
 */
export async function* readTar(stream: AsyncIterable<Buffer>, {sparse}: TarOptions = {}): AsyncGenerator<TarMember> {
  const bytes = new ByteReader(stream)
  let said: Attributes = {}
  for (;;) {
    const header = await bytes.exactly(unit)
    if (header.every((byte) => byte === 0)) break
    verify(header)
    const flag = String.fromCharCode(header[156] ?? 0)
    const size = sizeOf(said.size, header)
    if ('LKxg'.includes(flag)) {
      said = {...said, ...extension(flag, await extensionData(bytes, size))}
      continue
    }
    const {kind, content} = sparse && flag === 'S' ? await plainFile(header, bytes, size) : {kind: flag, content: bytes.content(size)}
    const member = memberOf(header, kind, said)
    said = {}
    if (member.type !== 'file' && size > 0) throw new TarError(`${JSON.stringify(member.name)} has content and is no file`)
    const end = bytes.position + padded(size)
    yield {...member, content}
    for await (const _rest of bytes.content(end - bytes.position));
  }
  await bytes.onlyZeros(paddingLimit)
}

const memberOf = (header: Buffer, flag: string, said: Attributes): Omit<TarMember, 'content'> => {
  // `ustar` and NUL: what GNU's own format, which ends in a blank, has in the place of the prefix is something else.
  const prefix = header.toString('latin1', 257, 263) === 'ustar\0' ? text(header, 345, 155) : ''
  const ownName = text(header, 0, 100)
  const name = said.path ?? (prefix === '' ? ownName : `${prefix}/${ownName}`)
  const type = types[flag]
  if (type === undefined) throw new TarError(`${JSON.stringify(name)} is ${special[flag] ?? 'a thing of an unknown kind'}`)
  return {
    name,
    // The oldest format marks a directory in this way only.
    type: type === 'file' && name.endsWith('/') ? 'directory' : type,
    mode: number(header, 100, 8) & 0o7777,
    target: said.linkpath ?? text(header, 157, 100),
  }
}

interface Holes {
  /** The parts that are in the archive. */
  readonly parts: readonly {readonly at: number; readonly size: number}[]
  /** Length of the file. */
  readonly size: number
}

/** tar(5), "GNU tar archives": four parts stand in the header, 21 in each block that follows while the one before says so. */
const holesOf = async (header: Buffer, bytes: ByteReader, stored: number): Promise<Holes> => {
  const parts: Holes['parts'][number][] = []
  const size = number(header, 483, 12)
  let end = 0
  const take = (block: Buffer, from: number, count: number): void => {
    for (let at = from; at < from + count * 24 && block[at] !== 0; at += 24) {
      const part = {at: number(block, at, 12), size: number(block, at + 12, 12)}
      if (part.at < end || part.at + part.size > size) throw new TarError('the parts of a sparse file are not in order')
      end = part.at + part.size
      parts.push(part)
    }
  }
  take(header, 386, 4)
  for (let block = header, more = 482; block[more] === 1; more = 504) {
    if (parts.length > sparseLimit) throw new TarError('a sparse file has too many parts')
    block = await bytes.exactly(unit)
    take(block, 0, 21)
  }
  if (parts.reduce((sum, part) => sum + part.size, 0) !== stored) throw new TarError('the parts of a sparse file are not all of it')
  return {parts, size}
}

/** Parts of one file; each takes some bytes of memory. */
const sparseLimit = 2 ** 20

const zeros = Buffer.alloc(2 ** 20)

/** A sparse file as the plain one that it was. */
const plainFile = async (header: Buffer, bytes: ByteReader, stored: number) => ({
  kind: '0',
  content: withHoles(bytes, await holesOf(header, bytes, stored)),
})

async function* withHoles(bytes: ByteReader, {parts, size}: Holes): AsyncGenerator<Buffer> {
  let at = 0
  for (const part of [...parts, {at: size, size: 0}]) {
    for (; at < part.at; at += Math.min(zeros.length, part.at - at)) yield zeros.subarray(0, part.at - at)
    yield* bytes.content(part.size)
    at += part.size
  }
}

const extensionData = async (bytes: ByteReader, size: number): Promise<Buffer> => {
  if (size === 0 || size > extensionLimit) throw new TarError('a name in it is empty or too long')
  return (await bytes.exactly(padded(size))).subarray(0, size)
}

/** What goes before a member and is about it; of all that pax can say, only this matters here. */
const extension = (flag: string, data: Buffer): Attributes => {
  if (flag === 'L') return {path: text(data, 0, data.length)}
  if (flag === 'K') return {linkpath: text(data, 0, data.length)}
  const attributes = paxAttributes(data)
  const given = Object.entries(attributes).filter(([key, value]) => ['path', 'linkpath', 'size'].includes(key) && value !== '')
  if (Object.keys(attributes).some((key) => key.startsWith('GNU.sparse.'))) throw new TarError('a file in it is a sparse file')
  // It would be about all members that follow.
  if (flag === 'g' && given.length > 0) throw new TarError('it gives one name or size to all that follows')
  return Object.fromEntries(given)
}

/** pax(1), "pax Header Block": `LENGTH KEY=VALUE` and a line feed, whose length counts all of that. */
const paxAttributes = (data: Buffer): Record<string, string> => {
  const attributes: Record<string, string> = Object.create(null)
  for (let at = 0; at < data.length;) {
    const blank = data.indexOf(0x20, at)
    const length = blank === -1 || blank - at > 10 ? Number.NaN : decimal(data.toString('latin1', at, blank))
    const end = at + length
    const equals = data.indexOf(0x3d, blank)
    if (!(end <= data.length && blank < equals && equals < end && data[end - 1] === 0x0a))
      throw new TarError('its extended header is damaged')
    attributes[data.toString('utf8', blank + 1, equals)] = data.toString('utf8', equals + 1, end - 1)
    at = end
  }
  return attributes
}

const sizeOf = (said: string | undefined, header: Buffer): number => {
  const size = said === undefined ? number(header, 124, 12) : decimal(said)
  if (!Number.isSafeInteger(size)) throw new TarError('a size in it is no number')
  return size
}

const decimal = (digits: string): number => (/^\d+$/.test(digits) ? Number(digits) : Number.NaN)

/** The sum of all bytes of a header in which the field of the sum itself is blank. */
const verify = (header: Buffer): void => {
  let sum = 8 * 0x20
  for (let at = 0; at < unit; at++) if (at < 148 || at >= 156) sum += header[at] ?? 0
  if (number(header, 148, 8) !== sum) throw new TarError('the checksum of a header is wrong')
}

/** A number in octal digits, or in base 256 when the first bit is set. */
const number = (header: Buffer, at: number, width: number): number => {
  const field = header.subarray(at, at + width)
  if (field[0] === 0x80) {
    const value = field.subarray(1).reduce((sum, byte) => sum * 256 + byte, 0)
    if (Number.isSafeInteger(value)) return value
  }
  const [, digits] = /^[ \0]*([0-7]*)[ \0]*$/.exec(field.toString('latin1')) ?? []
  if (digits === undefined) throw new TarError('a number in a header is none')
  return digits === '' ? 0 : Number.parseInt(digits, 8)
}

const text = (header: Buffer, at: number, width: number): string => {
  const field = header.subarray(at, at + width)
  const end = field.indexOf(0)
  return field.toString('utf8', 0, end === -1 ? width : end)
}

const padded = (size: number): number => Math.ceil(size / unit) * unit

/** Takes from a stream what is asked for, whatever pieces it comes in. */
class ByteReader {
  readonly #source: AsyncIterator<Buffer>
  #rest: Buffer = Buffer.alloc(0)
  /** Bytes that were taken so far. */
  position = 0

  constructor(stream: AsyncIterable<Buffer>) {
    this.#source = stream[Symbol.asyncIterator]()
  }

  async exactly(count: number): Promise<Buffer> {
    const parts: Buffer[] = []
    for await (const part of this.content(count)) parts.push(part)
    return parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts)
  }

  async *content(count: number): AsyncGenerator<Buffer> {
    for (let left = count; left > 0;) {
      const piece = await this.#piece(left)
      if (!piece) throw new TarError('it ends in the middle of an entry')
      left -= piece.length
      yield piece
    }
  }

  async onlyZeros(limit: number): Promise<void> {
    let count = 0
    for (let piece = await this.#piece(limit); piece; piece = await this.#piece(limit)) {
      count += piece.length
      if (count > limit || piece.some((byte) => byte !== 0)) throw new TarError('something comes after its end')
    }
  }

  /** At most so many bytes, as they have come; undefined at the end. */
  async #piece(most: number): Promise<Buffer | undefined> {
    while (this.#rest.length === 0) {
      const {done, value} = await this.#source.next()
      if (done) return undefined
      this.#rest = value
    }
    const piece = this.#rest.subarray(0, most)
    this.#rest = this.#rest.subarray(piece.length)
    this.position += piece.length
    return piece
  }
}
