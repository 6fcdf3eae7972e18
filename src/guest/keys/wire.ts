/** The two data types of the SSH protocol that keys are made of (RFC 4251, 5). */
export const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

export const sshString = (content: string | Uint8Array): Buffer => {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content
  return Buffer.concat([uint32(bytes.length), bytes])
}

/** The contents of an mpint: a positive number, most significant byte first, without zeros in front but for one that keeps the sign. */
export const mpint = (number: Buffer): Buffer => {
  const from = number.findIndex((byte) => byte !== 0)
  const bytes = from === -1 ? Buffer.alloc(0) : number.subarray(from)
  return (bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.of(0), bytes]) : bytes
}

export interface SshReader {
  /** The next string, or undefined when the bytes do not hold one. */
  string(): Buffer | undefined
  uint32(): number | undefined
  remaining(): number
}

/** Reads fields one after the other; never beyond the end, whatever the bytes say. */
export const sshReader = (bytes: Buffer): SshReader => {
  let offset = 0
  const reader: SshReader = {
    uint32() {
      if (offset + 4 > bytes.length) return undefined
      offset += 4
      return bytes.readUInt32BE(offset - 4)
    },
    string() {
      const length = reader.uint32()
      if (length === undefined || offset + length > bytes.length) return undefined
      offset += length
      return bytes.subarray(offset - length, offset)
    },
    remaining: () => bytes.length - offset,
  }
  return reader
}
