/** A number in both byte orders (ECMA-119 7.2.3). */
export const both16 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt16LE(value, 0)
  bytes.writeUInt16BE(value, 2)
  return bytes
}

/** ECMA-119 7.3.3. */
export const both32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(8)
  bytes.writeUInt32LE(value, 0)
  bytes.writeUInt32BE(value, 4)
  return bytes
}

/** Big-endian UCS-2, the text of Joliet. */
export const ucs2 = (text: string): Buffer => Buffer.from(text, 'utf16le').swap16()

export const paddedText = (text: string, length: number): Buffer => Buffer.alloc(length, ' ').fill(text, 0, text.length, 'latin1')

export const paddedUcs2 = (text: string, length: number): Buffer => {
  const bytes = Buffer.alloc(length)
  ucs2(text.padEnd(Math.floor(length / 2))).copy(bytes)
  return bytes
}

/** ECMA-119 9.1.5: a time in a directory record, UTC. */
export const directoryTime = (date: Date): Buffer =>
  Buffer.from([
    date.getUTCFullYear() - 1900,
    date.getUTCMonth() + 1,
    date.getUTCDate(),
    date.getUTCHours(),
    date.getUTCMinutes(),
    date.getUTCSeconds(),
    0,
  ])

/** ECMA-119 8.4.26.1: a time in a volume descriptor, hundredths of a second, UTC. */
export const volumeTime = (date: Date): Buffer =>
  Buffer.concat([Buffer.from(date.toISOString().replaceAll(/\D/g, '').slice(0, 16)), Buffer.from([0])])
